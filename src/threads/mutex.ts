/// <reference lib="es2024.sharedmemory" />

/** Mutual exclusion between threads. A task that waits does not block its thread. */
export interface Mutex {
  /** Runs the task when no other task runs that shares the lock, in any thread. */
  runExclusive<Value>(task: () => Promise<Value>): Promise<Value>;
}

const UNLOCKED = 0;
const LOCKED = 1;

/** Shared memory of one lock; posted to worker threads as it is. */
export const makeLock = (): SharedArrayBuffer => new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);

/** The mutex of a lock that threads share. */
export function mutexOf(lock: SharedArrayBuffer): Mutex {
  const state = new Int32Array(lock);
  return {
    runExclusive: async (task) => {
      while (Atomics.compareExchange(state, 0, UNLOCKED, LOCKED) !== UNLOCKED) await Atomics.waitAsync(state, 0, LOCKED).value;
      try {
        return await task();
      } finally {
        Atomics.store(state, 0, UNLOCKED);
        Atomics.notify(state, 0, 1);
      }
    },
  };
}
