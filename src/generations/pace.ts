import { setTimeout as pause } from 'node:timers/promises';
import type { Generation } from './generation.js';

/** Longest wait of one step for open requests. */
const MAX_WAIT_MS = 10;

/**
 * Paces fusing and index building, which share the cores with requests. After each step it pauses for as long as the step took,
 * and then waits until open requests have ended.
 * @param serving the generation that answers requests now
 * @returns a function to await before each step; it rejects once the signal is aborted
 */
export function createPace(serving: () => Pick<Generation, 'yieldToRequests'>, signal: AbortSignal): () => Promise<void> {
  let stepped = performance.now();
  return async () => {
    await pause(performance.now() - stepped);
    await serving().yieldToRequests(MAX_WAIT_MS);
    signal.throwIfAborted();
    stepped = performance.now();
  };
}
