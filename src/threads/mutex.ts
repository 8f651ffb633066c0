/// <reference lib="es2024.sharedmemory" />

/** Runs a task when no other one runs that shares the lock, in whatever thread. Tasks that wait do not block their thread. */
export type Turns = <Value>(task: () => Promise<Value>) => Promise<Value>;

const FREE = 0;
const TAKEN = 1;

/** Shared memory of one lock; posted to worker threads as it is. */
export const makeLock = (): SharedArrayBuffer => new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);

export function turnsOf(lock: SharedArrayBuffer): Turns {
  const state = new Int32Array(lock);
  return async (task) => {
    while (Atomics.compareExchange(state, 0, FREE, TAKEN) !== FREE) await Atomics.waitAsync(state, 0, TAKEN).value;
    try {
      return await task();
    } finally {
      Atomics.store(state, 0, FREE);
      Atomics.notify(state, 0, 1);
    }
  };
}
