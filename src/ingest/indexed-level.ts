/** How far an indexer has come: a sequence that only grows, and that writes wait for. */
export interface IndexedLevel {
  readonly at: number;
  advance(sequence: number): void;
  /** Resolves when the level is at this sequence; rejects when it will not get there. */
  reached(sequence: number): Promise<void>;
  /** Rejects those who wait, and whoever comes later. */
  fail(error: Error): void;
}

interface Waiter {
  sequence: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

const DONE = Promise.resolve();

export function createIndexedLevel(): IndexedLevel {
  let at = 0;
  let failure: Error | null = null;
  let waiters: Waiter[] = [];
  return {
    get at() {
      return at;
    },
    advance: (sequence) => {
      if (sequence <= at) return;
      at = sequence;
      const waiting: Waiter[] = [];
      for (const waiter of waiters) {
        if (waiter.sequence <= at) waiter.resolve();
        else waiting.push(waiter);
      }
      waiters = waiting;
    },
    reached: (sequence) => {
      if (sequence <= at) return DONE;
      if (failure !== null) return Promise.reject(failure);
      return new Promise((resolve, reject) => void waiters.push({ sequence, resolve, reject }));
    },
    fail: (error) => {
      failure ??= error;
      for (const { reject } of waiters.splice(0)) reject(failure);
    },
  };
}
