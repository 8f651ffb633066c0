import { parentPort } from 'node:worker_threads';
import { ArtifactError, messageOf } from '../errors.js';
import type { WorkerReply } from './worker-client.js';

/** A worker's answer; buffers in `transfer` move instead of being copied. */
export interface Answered {
  answer: unknown;
  transfer?: ArrayBuffer[];
}

/** Serves requests one after another in the order of arrival; an error answers its own request only. */
export function serveRequests<Request extends { id: number }>(handle: (request: Request) => Answered | Promise<Answered>): void {
  const port = parentPort;
  if (port === null) throw new Error('this file runs in a worker thread');
  let last: Promise<void> = Promise.resolve();
  port.on('message', (request: Request) => {
    last = last.then(async () => {
      try {
        const { answer, transfer } = await handle(request);
        port.postMessage({ id: request.id, answer } satisfies WorkerReply<unknown>, transfer ?? []);
      } catch (error) {
        const kind = error instanceof ArtifactError ? 'artifact' : 'other';
        port.postMessage({ id: request.id, error: messageOf(error), kind } satisfies WorkerReply<unknown>);
      }
    });
  });
}
