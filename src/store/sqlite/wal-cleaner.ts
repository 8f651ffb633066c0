import { setTimeout as pause } from 'node:timers/promises';
import { createWatermark } from '../watermark.js';

/** Pause between two attempts. Writes go on, and a reader of an older state may end. */
const RETRY_MS = 100;

/**
 * Truncates the write-ahead log, which holds erased data until then. SQLite can truncate it only while no reader uses an older state.
 */
export interface WalCleaner {
  /**
   * Resolves to true when the log was truncated after this call; to false after `timeoutMs`. The attempts go on until one succeeds.
   */
  clean(timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * @param truncateWal makes one short attempt; false when a reader prevented it
 * @param onPending called with the number of `clean` calls that the log was not truncated for yet
 */
export function createWalCleaner(truncateWal: () => Promise<boolean>, onPending: (calls: number) => void): WalCleaner {
  /** Number of calls of `clean`; `cleaned` is the number of those whose log was truncated. */
  let calls = 0;
  const cleaned = createWatermark(0);
  const closing = new AbortController();
  let running: Promise<void> | null = null;

  const run = async (): Promise<void> => {
    while (cleaned.at < calls && !closing.signal.aborted) {
      const upTo = calls;
      if (await truncateWal()) cleaned.advance(upTo);
      else await pause(RETRY_MS, undefined, { signal: closing.signal }).catch(() => undefined); // closed meanwhile
      onPending(calls - cleaned.at);
    }
    running = null;
  };

  return {
    clean: (timeoutMs) => {
      const call = ++calls;
      onPending(calls - cleaned.at);
      running ??= run();
      return cleaned.reached(call, timeoutMs);
    },
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
