import type { Clock } from '../clock.js';
import type { KeyValueStore } from '../store/key-values.js';

const KEY = 'retention_time';
const DAY_MS = 24 * 3_600_000;
/** How much faster than real time the time of retention may run, to catch up after a downtime. */
const CATCH_UP = 24;

/**
 * Time by which old data is dropped, milliseconds since 1970. It is the wall time, but runs ahead by at most a day at a start and by a
 * day with each hour: when the clock jumps ahead by years, a day's worth of the oldest data goes in an hour, not all of it. The first
 * call on a data folder trusts the clock.
 */
export function createRetentionTime(keyValues: Pick<KeyValueStore, 'get' | 'set'>, clock: Pick<Clock, 'now' | 'elapsed'>): () => Promise<number> {
  let reached: number | null = null;
  let calledAt = 0;
  const next = async (): Promise<number> => {
    const now = clock.now();
    const elapsed = clock.elapsed();
    const before = reached ?? (Number(await keyValues.get(KEY)) || now);
    const allowed = reached === null ? DAY_MS : (elapsed - calledAt) * CATCH_UP;
    calledAt = elapsed;
    const time = Math.min(now, before + allowed);
    reached = Math.max(before, time); // the clock may be set back, and forth again
    await keyValues.set(KEY, String(reached));
    return time;
  };
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const mine = last.then(next);
    last = mine.catch(() => undefined); // the caller is told
    return mine;
  };
}
