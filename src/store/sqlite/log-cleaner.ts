import { setTimeout as pause } from 'node:timers/promises';
import { createWatermark } from '../watermark.js';

/** Between two attempts: writes come in between, and a reader of an older state may end. */
const RETRY_MS = 100;

/** The write-ahead log keeps what was erased until it is emptied, which needs a moment without a reader of an older state. */
export interface LogCleaner {
  /** True when the log was emptied after this call; false when it was not for so long. It is tried on until it is. */
  clean(timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * @param truncateWal one short attempt; false when somebody was reading
 * @param onPending told how many calls of `clean` the log has not been emptied for
 */
export function createLogCleaner(truncateWal: () => Promise<boolean>, onPending: (calls: number) => void): LogCleaner {
  let asked = 0;
  const done = createWatermark(0);
  const closing = new AbortController();
  let running: Promise<void> | null = null;

  const run = async (): Promise<void> => {
    while (done.at < asked && !closing.signal.aborted) {
      const upTo = asked;
      if (await truncateWal()) done.advance(upTo);
      else await pause(RETRY_MS, undefined, { signal: closing.signal }).catch(() => undefined); // closed meanwhile
      onPending(asked - done.at);
    }
    running = null;
  };

  return {
    clean: (timeoutMs) => {
      const mine = ++asked;
      onPending(asked - done.at);
      running ??= run();
      return done.reached(mine, timeoutMs);
    },
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
