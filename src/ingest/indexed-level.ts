/** Sequence up to which an indexer has applied changes. It only grows; writes wait for it. */
export interface IndexedLevel {
  advance(sequence: number): void;
  /** Resolves when the level has reached this sequence; rejects after `fail`. */
  reached(sequence: number): Promise<void>;
  /** Rejects every present and later call of `reached` for a sequence above the level. */
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
