/** Time and timers, replaceable in tests. */
export interface Clock {
  now(): number;
  /** Calls once, at this time or soon after. @returns a function that cancels the call */
  at(time: number, task: () => void): () => void;
}

/** Longest timer. Wall time can be set meanwhile, and timers do not follow it. */
const MAX_TIMER_MS = 60_000;

export const systemClock: Clock = {
  now: () => Date.now(),
  at: (time, task) => {
    const timer = setTimeout(task, Math.min(Math.max(1, time - Date.now()), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
