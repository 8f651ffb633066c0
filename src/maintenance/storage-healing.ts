import type { KeyValueStore } from '../store/key-values.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { StoreCheck } from '../store/store-check.js';

const KEY = 'storage_probe';
/** Damaged rows that are read again in one look. */
const ROWS = 100;

export interface HealingSetup {
  health: Pick<StorageHealth, 'isFailing' | 'damagedRows' | 'noteWorking' | 'noteSound'>;
  keyValues: Pick<KeyValueStore, 'get' | 'set'>;
  check: Pick<StoreCheck, 'isSound'>;
}

/**
 * Looks whether what was wrong with the storage is over: by a durable write while the disk fails, and by reading rows again that were
 * damaged, since they may have been written anew.
 * @returns a function that looks once; it never rejects
 */
export function createHealing({ health, keyValues, check }: HealingSetup): () => Promise<void> {
  let writes = 0;
  let looked = 0;
  return async () => {
    try {
      if (health.isFailing) {
        await keyValues.set(KEY, String(++writes));
        await keyValues.get(KEY);
        health.noteWorking();
      }
      const rows = health.damagedRows;
      const first = looked < rows.length ? looked : 0;
      for (const row of rows.slice(first, first + ROWS)) if (await check.isSound(row)) health.noteSound(row);
      looked = first + ROWS;
    } catch {
      // it still fails, which the storage's health knows by now
    }
  };
}
