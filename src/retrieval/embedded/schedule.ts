import type { Clock } from '../../clock.js';

/** Keys that something has to be done about at their time. */
export interface Schedule {
  /** Replaces the key's time; null: nothing is to be done any more. */
  set(key: string, at: number | null): void;
  close(): void;
}

/** Keys handled at once; what else happens comes in between. */
const SLICE = 128;
/** Entries that no longer count are swept when there are more of them than of the others, and more than this. */
const MIN_STALE = 1024;

interface Entry {
  key: string;
  at: number;
}

/**
 * A binary heap with one timer, for the earliest time.
 * @param onDue is given the keys whose time has come, and is waited for
 */
export function createSchedule(clock: Clock, onDue: (keys: string[]) => Promise<void>): Schedule {
  const times = new Map<string, number>();
  /** Earliest first; an entry counts only as long as `times` says the same. */
  let heap: Entry[] = [];
  let timer: { at: number; cancel: () => void } | null = null;
  let isBusy = false;
  let isClosed = false;

  const at = (position: number): number => heap[position]?.at ?? Infinity;
  const swap = (a: number, b: number): void => {
    [heap[a], heap[b]] = [heap[b] as Entry, heap[a] as Entry]; // both within the heap
  };
  const push = (entry: Entry): void => {
    heap.push(entry);
    for (let child = heap.length - 1; child > 0 && at(child) < at((child - 1) >> 1); child = (child - 1) >> 1) swap(child, (child - 1) >> 1);
  };
  const pop = (): Entry | undefined => {
    const [first] = heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let parent = 0; ;) {
      const child = at(2 * parent + 1) <= at(2 * parent + 2) ? 2 * parent + 1 : 2 * parent + 2;
      if (at(child) >= at(parent)) return first;
      swap(parent, child);
      parent = child;
    }
  };
  const sweep = (): void => {
    if (heap.length - times.size <= Math.max(times.size, MIN_STALE)) return;
    heap = Array.from(times, ([key, time]) => ({ key, at: time })).sort((a, b) => a.at - b.at); // sorted is a heap
  };

  const arm = (): void => {
    if (isBusy || isClosed || timer?.at === heap[0]?.at) return;
    timer?.cancel();
    timer = null;
    const [first] = heap;
    if (first !== undefined) timer = { at: first.at, cancel: clock.at(first.at, () => void fire()) };
  };
  const take = (): string[] => {
    const keys: string[] = [];
    while (keys.length < SLICE && at(0) <= clock.now()) {
      const entry = pop();
      if (entry === undefined || times.get(entry.key) !== entry.at) continue;
      times.delete(entry.key);
      keys.push(entry.key);
    }
    return keys;
  };
  const fire = async (): Promise<void> => {
    timer = null;
    isBusy = true;
    const keys = take();
    if (keys.length > 0) await onDue(keys);
    isBusy = false;
    arm();
  };

  return {
    set: (key, time) => {
      if (times.get(key) === time || (time === null && !times.delete(key))) return;
      if (time !== null) {
        times.set(key, time);
        push({ key, at: time });
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
