import { LRUCache } from 'lru-cache';

/** User vectors by history: one that has not changed need not be embedded again. Vectors are shared: not to be changed. */
export interface UserVectors {
  /** To be handed to `keep`: of what goes while a vector is being made, `keep` would not know otherwise. */
  now(): number;
  /** @param history slots, oldest first */
  find(history: Int32Array): Float32Array | undefined;
  keep(history: Int32Array, vector: Float32Array, since: number): void;
  /** These slots no longer hold what they held; neither do the user vectors that were made of them. */
  forget(slots: readonly number[]): void;
}

interface Kept {
  vector: Float32Array;
  since: number;
}

/** Of an entry besides its key and its vector, about. */
const OVERHEAD_BYTES = 200;

const keyOf = ({ buffer, byteOffset, byteLength }: Int32Array): string => Buffer.from(buffer, byteOffset, byteLength).toString('latin1');

/** @param maxBytes about; 0 keeps nothing */
export function createUserVectors(maxBytes: number): UserVectors {
  if (maxBytes === 0) return { now: () => 0, find: () => undefined, keep: () => undefined, forget: () => undefined };
  const kept = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ vector }, key) => key.length + vector.byteLength + OVERHEAD_BYTES,
  });
  let changes = 0;
  /** Slot → which change took its content last; 0: none did. */
  let goneAt = new Float64Array(1024);
  const isFresh = (history: Int32Array, since: number): boolean => history.every((slot) => (goneAt[slot] ?? 0) <= since);
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
        if (slot >= goneAt.length) {
          const grown = new Float64Array(2 ** Math.ceil(Math.log2(slot + 1)));
          grown.set(goneAt);
          goneAt = grown;
        }
        goneAt[slot] = changes;
      }
    },
  };
}
