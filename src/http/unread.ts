import type { ServerResponse } from 'node:http';

/** How long an answer may wait for its reader while nothing moves in either direction. */
export const UNREAD_MS = 60_000;

/**
 * Ends an answer that streams beside its request when its caller does not read: such a caller sends everything first, we stop
 * reading because the answer backs up, and both would wait for ever. A pause of a caller that reads is of any length.
 */
export function endUnread(response: ServerResponse, ms: number, onEnd: () => void): void {
  response.setTimeout(ms, () => {
    const isUnread = response.writableNeedDrain || (response.writableEnded && !response.writableFinished);
    if (!isUnread) {
      response.setTimeout(ms); // it fires once, and the caller may stop reading later
      return;
    }
    onEnd();
    response.destroy();
  });
}
