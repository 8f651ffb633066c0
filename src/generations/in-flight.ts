/**
 * Counts the tasks under way. A set would hold the promises, and the tables that a busy set leaves behind keep what is in
 * them, down to finished answers, until a full collection.
 */
export interface InFlight {
  add<Value>(work: Promise<Value>): Promise<Value>;
  isOver(): boolean;
  /** Resolves when none of them is left. */
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
