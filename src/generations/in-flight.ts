/**
 * Counts the tasks under way. A set of their promises would keep finished answers alive: the tables that a busy set leaves
 * behind are freed by a full collection only. With the array in worker-client.ts: 7,338 → 7,712 requests/s (bench/LOG.md, 943ff59).
 */
export interface InFlight {
  add<Value>(work: Promise<Value>): Promise<Value>;
  isOver(): boolean;
  /** Resolves when no task is under way. */
  ended(): Promise<void>;
}

export function createInFlight(): InFlight {
  let count = 0;
  let waiters: (() => void)[] = [];
  const end = (): void => {
    if (--count > 0) return;
    for (const resolve of waiters) resolve();
    waiters = [];
  };
  return {
    add: (work) => {
      count++;
      work.then(end, end);
      return work;
    },
    isOver: () => count === 0,
    ended: () => (count === 0 ? Promise.resolve() : new Promise((resolve) => void waiters.push(resolve))),
  };
}
