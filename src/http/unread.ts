import type { ServerResponse } from 'node:http';

/** Time without traffic in either direction after which an unread answer is ended. */
export const UNREAD_MS = 60_000;

/**
 * Ends a streamed answer when its caller does not read it. Such a caller sends its whole request first; the server stops reading
 * because the answer backs up, and both would wait without end. A caller that reads may pause for any time.
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
