import { makeLock } from '../threads/mutex.js';

/**
 * One lock for the process: the main thread makes it and hands it to the workers. All WebGPU sessions of a process share one device
 * and one command encoder, which two threads must not use at a time (ONNX Runtime 1.30).
 */
export const GPU_LOCK = makeLock();
