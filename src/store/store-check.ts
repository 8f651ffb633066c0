import type { RowPlace } from './storage-health.js';

/** Rows that were read and compared with their checksums. */
export interface CheckedRows {
  /** Where the next rows begin; null: these were the last ones. */
  position: string | null;
  rows: number;
  bytes: number;
  damaged: DamagedRow[];
  /** Why rows could not be read, in pages that are damaged; null: all could. Those behind them in their table were passed over. */
  unreadable: string | null;
}

export interface DamagedRow extends RowPlace {
  detail: string;
}

/** Reads what is stored, a small part in each call, on a thread of its own. */
export interface StoreCheck {
  /** @param position null: from the beginning. @throws ReelfuseError of the storage; the same call may be made again */
  next(position: string | null): Promise<CheckedRows>;
  /** Whether the row is sound, or gone. @throws as `next` */
  isSound(row: RowPlace): Promise<boolean>;
}
