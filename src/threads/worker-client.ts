import { Worker } from 'node:worker_threads';
import { ArtifactError, messageOf } from '../errors.js';

/** A worker's message: the answer to request `id`, or its error. */
export type WorkerReply<Answer> = { id: number; answer: Answer } | { id: number; error: string; code: string; kind: 'artifact' | 'other' };

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** Sent instead of a request: the worker answers what came before, then ends. */
export const END = null;

export interface WorkerClient {
  /** The worker handles requests in the order of these calls. Rejects when the worker fails or has ended. */
  call<Answer>(request: object, transfer?: readonly ArrayBuffer[]): Promise<Answer>;
  /** The thread answers all requests and then ends itself: terminating it during a native call would end the process. */
  close(): Promise<void>;
}

/** The error as the worker threw it, as far as callers tell errors apart. */
const errorOf = ({ error, code, kind }: Extract<WorkerReply<unknown>, { error: string }>): Error =>
  kind === 'artifact' ? new ArtifactError(error) : Object.assign(new Error(error), code !== '' && { code });

/**
 * Starts a worker thread that posts WorkerReply messages. If the thread dies, every open and later call rejects, and `onCrash` is called
 * once: nothing recovers silently.
 */
export function startWorker(file: string, workerData: unknown, onCrash: (error: Error) => void): WorkerClient {
  const worker = new Worker(new URL(file), { workerData });
  // By id, and the ids that can be used again. A busy Map leaves tables behind that keep answers alive until a full garbage collection:
  // 7,338 → 7,712 requests/s without (bench/LOG.md).
  const open: (Waiting | undefined)[] = [];
  const freeIds: number[] = [];
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
    freeIds.push(reply.id);
    if ('error' in reply) waiting.reject(errorOf(reply));
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
        const id = freeIds.pop() ?? open.length;
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
