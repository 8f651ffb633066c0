import type { ServerResponse } from 'node:http';

/** Longest time without any traffic, in either direction, while an answer waits for the caller to read it. */
export const UNREAD_MS = 60_000;

/**
 * Ends a streamed answer that its caller does not read. Such a caller sends the whole request first; the server stops reading because the
 * answer backs up; both would wait for ever. A caller that reads may pause for any time.
 */
export function endUnread(response: ServerResponse, ms: number, onEnd: () => void): void {
  response.setTimeout(ms, () => {
    const isUnread = response.writableNeedDrain || (response.writableEnded && !response.writableFinished);
    if (!isUnread) {
      response.setTimeout(ms); // fires once, and the caller may stop reading later
      return;
    }
    onEnd();
    response.destroy();
  });
}
