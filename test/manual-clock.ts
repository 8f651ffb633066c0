import type { Clock } from '../src/clock.js';

export interface ManualClock extends Clock {
  /** What is due is called before this resolves, in the order of its time. */
  advance(milliseconds: number): Promise<void>;
}

/** Time that passes only when it is told to. */
export function manualClock(start: number): ManualClock {
  let now = start;
  const waiting = new Set<{ time: number; task: () => void }>();
  return {
    now: () => now,
    at: (time, task) => {
      const entry = { time, task };
      waiting.add(entry);
      return () => void waiting.delete(entry);
    },
    advance: async (milliseconds) => {
      const until = now + milliseconds;
      for (;;) {
        const [next] = [...waiting].filter(({ time }) => time <= until).sort((a, b) => a.time - b.time);
        if (next === undefined) break;
        waiting.delete(next);
        now = Math.max(now, next.time);
        next.task();
        await new Promise(setImmediate); // it may ask for the next call only when it is done
      }
      now = until;
    },
  };
}
