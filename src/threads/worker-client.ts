import { Worker } from 'node:worker_threads';
import { ArtifactError, messageOf } from '../errors.js';

/** What a worker posts back: the answer to request `id`, or why there is none. */
export type WorkerReply<Answer> = { id: number; answer: Answer } | { id: number; error: string; kind: 'artifact' | 'other' };

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** Posted instead of a request: the worker answers what came before and ends. */
export const END = null;

export interface WorkerClient {
  /** Requests are handled by the worker in the order of these calls. Rejects when the worker fails or has ended. */
  call<Answer>(request: object, transfer?: readonly ArrayBuffer[]): Promise<Answer>;
  /** Asks the thread to answer its open requests and end. Terminating a thread within a native call would end the process. */
  close(): Promise<void>;
}

/**
 * Starts a worker thread that answers with WorkerReply. When the thread dies, every open and later call rejects,
 * and `onCrash` is called once.
 */
export function startWorker(file: string, workerData: unknown, onCrash: (error: Error) => void): WorkerClient {
  const worker = new Worker(new URL(file), { workerData });
  // an array with reused indexes: the tables that a busy map leaves behind keep answers alive until a full collection.
  // With the counter in in-flight.ts: 7,338 → 7,712 requests/s (bench/LOG.md, 943ff59)
  const open: (Waiting | undefined)[] = [];
  const free: number[] = [];
  let ended: Error | undefined;
  let closing = false;

  const end = (error: Error): void => {
    if (ended !== undefined) return;
    ended = error;
    for (const waiting of open.splice(0)) waiting?.reject(error);
    if (!closing) onCrash(error);
  };
  worker.on('message', (reply: WorkerReply<never>) => {
    const waiting = open[reply.id];
    if (waiting === undefined) return;
    open[reply.id] = undefined;
    free.push(reply.id);
    if ('error' in reply) waiting.reject(reply.kind === 'artifact' ? new ArtifactError(reply.error) : new Error(reply.error));
    else waiting.resolve(reply.answer);
  });
  worker.on('error', (error: unknown) => end(new Error(`worker ${file} failed: ${messageOf(error)}`, { cause: error })));
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      end(new Error(`worker ${file} ended with code ${code}`));
      resolve();
    });
  });

  return {
    call: <Answer>(request: object, transfer: readonly ArrayBuffer[] = []) =>
      new Promise<Answer>((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        const id = free.pop() ?? open.length;
        open[id] = { resolve: resolve as (value: never) => void, reject };
        worker.postMessage({ ...request, id }, transfer);
      }),
    close: async () => {
      closing = true;
      worker.postMessage(END);
      await exited;
    },
  };
}
