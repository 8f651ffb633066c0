import type Database from 'better-sqlite3';
import type { HiddenStates } from '../../domain/item.js';
import { storageFaultOf } from '../../storage-faults.js';
import { isSound } from '../checksum.js';

interface StatesRow {
  dtype: HiddenStates['dtype'];
  layers: number;
  width: number;
  data: Buffer;
  checksum: number | null;
}

/** Hidden states of an item as they are stored. */
export interface StatesRead {
  /** Undefined: there are none, or their pages are damaged. */
  row: StatesRow | undefined;
  /** What is wrong with them; null: nothing. */
  problem: string | null;
}

const BYTES: Record<HiddenStates['dtype'], number> = { float16: 2, float32: 4 };

/** Whether hidden states are as they were written. */
const areSound = (itemId: string, { dtype, layers, width, data, checksum }: StatesRow): boolean =>
  isSound(checksum, data, itemId) && data.byteLength === layers * width * (BYTES[dtype] ?? NaN);

/** @returns a function that reads and verifies the hidden states of an item; it throws SQLite's error when the disk fails */
export function prepareStatesRead(database: Database.Database): (itemId: string) => StatesRead {
  const statement = database.prepare<[string], StatesRow>('SELECT dtype, layers, width, data, checksum FROM hidden_states WHERE item_id = ?');
  return (itemId) => {
    try {
      const row = statement.get(itemId);
      return { row, problem: row === undefined || areSound(itemId, row) ? null : 'its checksum does not hold' };
    } catch (error) {
      if (storageFaultOf(error) !== 'damaged') throw error;
      return { row: undefined, problem: 'its pages are damaged' };
    }
  };
}
