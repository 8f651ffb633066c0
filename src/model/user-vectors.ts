import { LRUCache } from 'lru-cache';

/** Cache of user vectors by history: a history that has not changed is not embedded again. The vectors are shared and must not be changed. */
export interface UserVectors {
  /** Version of the slots' content. Read it before making a vector and hand it to `keep`: slots may change in between. */
  now(): number;
  /** @param history slots, oldest first */
  find(history: Int32Array): Float32Array | undefined;
  keep(history: Int32Array, vector: Float32Array, since: number): void;
  /** The content of these slots has changed: user vectors that were made from them are out of date. */
  forget(slots: readonly number[]): void;
}

interface Kept {
  vector: Float32Array;
  since: number;
}

/** Approximate memory of an entry besides its key and its vector. */
const OVERHEAD_BYTES = 200;

const keyOf = ({ buffer, byteOffset, byteLength }: Int32Array): string => Buffer.from(buffer, byteOffset, byteLength).toString('latin1');

/** @param maxBytes approximate; 0: no cache */
export function createUserVectors(maxBytes: number): UserVectors {
  if (maxBytes === 0) return { now: () => 0, find: () => undefined, keep: () => undefined, forget: () => undefined };
  const kept = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ vector }, key) => key.length + vector.byteLength + OVERHEAD_BYTES,
  });
  let changes = 0;
  /** Slot → number of the change that replaced its content last; 0: none. */
  let changedAt = new Float64Array(1024);
  const isFresh = (history: Int32Array, since: number): boolean => history.every((slot) => (changedAt[slot] ?? 0) <= since);
  return {
    now: () => changes,
    find: (history) => {
      const key = keyOf(history);
      const found = kept.get(key);
      if (found === undefined || isFresh(history, found.since)) return found?.vector;
      kept.delete(key);
      return undefined;
    },
    keep: (history, vector, since) => void kept.set(keyOf(history), { vector, since }),
    forget: (slots) => {
      changes++;
      for (const slot of slots) {
        if (slot >= changedAt.length) {
          const grown = new Float64Array(2 ** Math.ceil(Math.log2(slot + 1)));
          grown.set(changedAt);
          changedAt = grown;
        }
        changedAt[slot] = changes;
      }
    },
  };
}
