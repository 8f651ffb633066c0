/** Time and timers, replaceable in tests. */
export interface Clock {
  /** Wall time, milliseconds since 1970. It can be set, forward and back, by any amount. */
  now(): number;
  /** Milliseconds since some moment. Setting the wall time does not change it: durations are differences of it. */
  elapsed(): number;
  /** Calls once, at this time or soon after. @returns a function that cancels the call */
  at(time: number, task: () => void): () => void;
  /** Calls each time the wall time was set back by more than a second, within a minute. @returns a function that ends this */
  onSetBack(task: () => void): () => void;
}

/** Longest timer. Wall time can be set meanwhile, and timers do not follow it. */
const MAX_TIMER_MS = 60_000;
/** A step back that is noticed. Smaller ones are corrections of NTP. */
const STEP_MS = 1000;

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  at: (time, task) => {
    const timer = setTimeout(task, Math.min(Math.max(1, time - Date.now()), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
  onSetBack: (task) => {
    const ahead = (): number => Date.now() - performance.now();
    let before = ahead();
    const timer = setInterval(() => {
      const now = ahead();
      if (now < before - STEP_MS) task();
      before = now;
    }, MAX_TIMER_MS);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/**
 * Wall time at the start of the process, and monotonic time from there: what is ordered or expires within the process by it does not see
 * the wall time being set.
 */
export function steadyTime({ now, elapsed }: Pick<Clock, 'now' | 'elapsed'>): () => number {
  const start = now() - elapsed();
  return () => Math.round(start + elapsed());
}
