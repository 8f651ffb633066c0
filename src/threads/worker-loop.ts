import { parentPort } from 'node:worker_threads';
import { ArtifactError, messageOf } from '../errors.js';
import { END, type WorkerReply } from './worker-client.js';

/** The answer of a worker. Buffers in `transfer` are moved, not copied. */
export interface Answered {
  answer: unknown;
  transfer?: ArrayBuffer[];
}

/** The request has begun; the worker handles later requests until it ends. */
export interface Detached {
  later: Promise<Answered>;
}

/**
 * Handles requests one after another in the order of arrival. An error rejects its request only.
 * @param close called when everything is answered and the thread ends; its errors are ignored
 */
export function serveRequests<Request extends { id: number }>(
  handle: (request: Request) => Answered | Promise<Answered> | Detached,
  close: () => Promise<void> = async () => undefined,
): void {
  const port = parentPort;
  if (port === null) throw new Error('this file runs in a worker thread');
  const reply = async (id: number, work: Promise<Answered>): Promise<void> => {
    try {
      const { answer, transfer } = await work;
      port.postMessage({ id, answer } satisfies WorkerReply<unknown>, transfer ?? []);
    } catch (error) {
      const kind = error instanceof ArtifactError ? 'artifact' : 'other';
      port.postMessage({ id, error: messageOf(error), kind } satisfies WorkerReply<unknown>);
    }
  };
  let last: Promise<void> = Promise.resolve();
  const detached = new Set<Promise<void>>();
  const end = async (): Promise<void> => {
    await last;
    await Promise.all(detached);
    await close().catch(() => undefined);
    port.close(); // nothing keeps the thread any more
  };
  port.on('message', (request: Request | typeof END) => {
    if (request === END) {
      void end();
      return;
    }
    last = last.then(() => {
      let handled: ReturnType<typeof handle>;
      try {
        handled = handle(request);
      } catch (error) {
        handled = Promise.reject(error as Error);
      }
      if ('later' in handled) {
        const replied = reply(request.id, handled.later);
        detached.add(replied);
        void replied.then(() => detached.delete(replied));
        return undefined;
      }
      return reply(request.id, Promise.resolve(handled));
    });
  });
}
