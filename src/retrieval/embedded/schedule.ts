import TinyQueue from 'tinyqueue';
import type { Clock } from '../../clock.js';

/** Calls back when the time of a key has come. */
export interface Schedule {
  /** Replaces the key's time; null removes the key. */
  set(key: string, at: number | null): void;
  close(): void;
}

/** Maximum keys of one call of `onDue`. */
const SLICE = 128;
/** Stale entries are removed when they outnumber both the valid ones and this number. */
const MIN_STALE = 1024;

interface Entry {
  key: string;
  at: number;
}

const earliestFirst = (a: Entry, b: Entry): number => a.at - b.at;

/**
 * Uses one timer, for the earliest time of all keys.
 * @param onDue called with the keys whose time has come; the next call waits for its end
 */
export function createSchedule(clock: Clock, onDue: (keys: string[]) => Promise<void>): Schedule {
  const times = new Map<string, number>();
  /** An entry is valid while `times` has the same time for its key. */
  let queue = new TinyQueue<Entry>([], earliestFirst);
  let timer: { at: number; cancel: () => void } | null = null;
  let isBusy = false;
  let isClosed = false;

  const sweep = (): void => {
    if (queue.length - times.size <= Math.max(times.size, MIN_STALE)) return;
    const entries = Array.from(times, ([key, time]) => ({ key, at: time }));
    queue = new TinyQueue(entries, earliestFirst);
  };
  const arm = (): void => {
    const first = queue.peek();
    if (isBusy || isClosed || timer?.at === first?.at) return;
    timer?.cancel();
    timer = first === undefined ? null : { at: first.at, cancel: clock.at(first.at, () => void fire()) };
  };
  const takeDue = (): string[] => {
    const keys: string[] = [];
    while (keys.length < SLICE && (queue.peek()?.at ?? Infinity) <= clock.now()) {
      const entry = queue.pop();
      if (entry === undefined || times.get(entry.key) !== entry.at) continue;
      times.delete(entry.key);
      keys.push(entry.key);
    }
    return keys;
  };
  const fire = async (): Promise<void> => {
    timer = null;
    isBusy = true;
    const keys = takeDue();
    if (keys.length > 0) await onDue(keys);
    isBusy = false;
    arm();
  };

  return {
    set: (key, time) => {
      if (times.get(key) === time || (time === null && !times.delete(key))) return;
      if (time !== null) {
        times.set(key, time);
        queue.push({ key, at: time });
      }
      sweep();
      arm();
    },
    close: () => {
      isClosed = true;
      timer?.cancel();
    },
  };
}
