/** A number that only grows, and that callers can wait for. */
export interface Watermark {
  readonly at: number;
  advance(to: number): void;
  /** Resolves to true as soon as `at` is `wanted` or more, to false after `timeoutMs`. */
  reached(wanted: number, timeoutMs: number): Promise<boolean>;
}

interface Waiter {
  wanted: number;
  settle: (inTime: boolean) => void;
}

export function createWatermark(start: number): Watermark {
  let at = start;
  const waiters = new Set<Waiter>();
  return {
    get at() {
      return at;
    },
    advance: (to) => {
      at = Math.max(at, to);
      for (const { wanted, settle } of waiters) if (wanted <= at) settle(true);
    },
    reached: (wanted, timeoutMs) => {
      if (at >= wanted) return Promise.resolve(true);
      return new Promise((resolve) => {
        const settle = (inTime: boolean): void => {
          clearTimeout(timer);
          waiters.delete(waiter);
          resolve(inTime);
        };
        const waiter: Waiter = { wanted, settle };
        const timer = setTimeout(settle, timeoutMs, false);
        waiters.add(waiter);
      });
    },
  };
}
