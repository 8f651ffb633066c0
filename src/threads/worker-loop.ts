import { parentPort } from 'node:worker_threads';
import { ArtifactError, messageOf } from '../errors.js';
import { codeOf } from '../storage-faults.js';
import { END, type WorkerReply } from './worker-client.js';

/** A worker's answer. Buffers in `transfer` are moved, not copied. */
export interface Answered {
  answer: unknown;
  transfer?: ArrayBuffer[];
}

/** Answer of a request that runs in the background: later requests are served meanwhile. */
export interface Detached {
  later: Promise<Answered>;
}

/**
 * Serves requests one after another in the order of arrival. An error answers its own request only.
 * @param close called when all requests are answered and the thread is to end; what it cannot close ends with the thread
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
      port.postMessage({ id, error: messageOf(error), code: codeOf(error), kind } satisfies WorkerReply<unknown>);
    }
  };
  let last: Promise<void> = Promise.resolve();
  const detached = new Set<Promise<void>>();
  const end = async (): Promise<void> => {
    await last;
    await Promise.all(detached);
    await close().catch(() => undefined);
    port.close(); // nothing keeps the thread alive any more
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
