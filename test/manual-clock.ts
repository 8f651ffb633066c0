import type { Clock } from '../src/clock.js';

export interface ManualClock extends Clock {
  /** What is due is called before this resolves, in the order of its time. */
  advance(milliseconds: number): Promise<void>;
  /** Sets the wall time, as an administrator or NTP does. What is due by it is called before this resolves. */
  set(time: number): Promise<void>;
}

/** Time that passes only when it is told to. */
export function manualClock(start: number): ManualClock {
  let now = start;
  let elapsed = 0;
  const waiting = new Set<{ time: number; task: () => void }>();
  const setBack = new Set<() => void>();
  const moveTo = (time: number): void => {
    elapsed += Math.max(0, time - now);
    now = Math.max(now, time);
  };
  /** Calls what is due until this time. @param reach called with the time of each call before it */
  const callDue = async (until: number, reach: (time: number) => void): Promise<void> => {
    for (;;) {
      const [next] = [...waiting].filter(({ time }) => time <= until).sort((a, b) => a.time - b.time);
      if (next === undefined) return;
      waiting.delete(next);
      reach(next.time);
      next.task();
      await new Promise(setImmediate); // it may ask for the next call only when it is done
    }
  };
  return {
    now: () => now,
    elapsed: () => elapsed,
    at: (time, task) => {
      const entry = { time, task };
      waiting.add(entry);
      return () => void waiting.delete(entry);
    },
    onSetBack: (task) => {
      setBack.add(task);
      return () => void setBack.delete(task);
    },
    advance: async (milliseconds) => {
      const until = now + milliseconds;
      await callDue(until, moveTo);
      moveTo(until);
    },
    set: async (time) => {
      const isBack = time < now;
      now = time;
      if (isBack) for (const task of setBack) task();
      await callDue(time, () => undefined);
      await new Promise(setImmediate);
    },
  };
}
