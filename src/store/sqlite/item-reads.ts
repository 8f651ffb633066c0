import type Database from 'better-sqlite3';
import type { HiddenStates, StoredVector } from '../../domain/item.js';
import type { ItemStore, StoredItem } from '../items.js';
import type { ItemWithVector, VectorStore } from '../vectors.js';

/** A row by the order of COLUMNS. better-sqlite3 returns rows as arrays in half of the time that it takes for objects. */
type ItemColumns = [
  itemId: string,
  title: string | null,
  authorId: string | null,
  attributes: string,
  availableFrom: number | null,
  expiresAt: number | null,
  hidden: number,
  createdAt: number,
  updatedAt: number,
  sequence: number,
];

const COLUMNS = 'i.item_id, i.title, i.author_id, i.attributes, i.available_from, i.expires_at, i.hidden, i.created_at, i.updated_at, i.sequence';

const toItem = (columns: ItemColumns | VectorColumns): StoredItem => ({
  item_id: columns[0],
  title: columns[1],
  author_id: columns[2],
  attributes: JSON.parse(columns[3]) as Record<string, unknown>, // written by this program only
  available_from: columns[4],
  expires_at: columns[5],
  hidden: columns[6] === 1,
  created_at: columns[7],
  updated_at: columns[8],
  sequence: columns[9],
});

type VectorColumns = [...ItemColumns, vector: Buffer | null, idShare: number | null, states: number];

const toVector = (blob: Buffer): Float32Array => new Float32Array(new Uint8Array(blob).buffer);

function toItemWithVector(columns: VectorColumns): ItemWithVector {
  const [vector, share, states] = [columns[10], columns[11], columns[12]];
  const stored: StoredVector | null = vector === null || share === null ? null : { vector: toVector(vector), id_share: share };
  return { ...toItem(columns), stored, has_hidden_states: states === 1 };
}

export type ItemReads = Pick<ItemStore, 'get' | 'getMany' | 'list' | 'count' | 'hiddenStates' | 'withHiddenStates'>;

export function prepareItemReads(database: Database.Database): ItemReads {
  const item = database.prepare<[string], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id = ?`).raw();
  const ofIds = database.prepare<[string], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id IN (SELECT value FROM json_each(?))`).raw();
  const page = database.prepare<[string, number], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id > ? ORDER BY item_id LIMIT ?`).raw();
  const count = database.prepare<[], number>('SELECT count(*) FROM items').pluck();
  const states = database.prepare<[string], { dtype: HiddenStates['dtype']; layers: number; width: number; data: Buffer }>(
    'SELECT dtype, layers, width, data FROM hidden_states WHERE item_id = ?',
  );
  const haveStates = database
    .prepare<[string], string>('SELECT item_id FROM hidden_states WHERE item_id IN (SELECT value FROM json_each(?))')
    .pluck();
  return {
    get: async (itemId) => {
      const row = item.get(itemId);
      return row === undefined ? null : toItem(row);
    },
    getMany: async (itemIds) => ofIds.all(JSON.stringify(itemIds)).map(toItem),
    list: async (after, limit) => page.all(after ?? '', limit).map(toItem),
    count: async () => count.get() ?? 0,
    hiddenStates: async (itemId) => {
      const row = states.get(itemId);
      return row === undefined ? null : { dtype: row.dtype, shape: [row.layers, row.width], data: row.data };
    },
    withHiddenStates: async (itemIds) => new Set(haveStates.all(JSON.stringify(itemIds))),
  };
}

export type VectorReads = Pick<VectorStore, 'list' | 'getMany'>;

export function prepareVectorReads(database: Database.Database): VectorReads {
  const select = `SELECT ${COLUMNS}, v.vector, v.id_share, EXISTS (SELECT 1 FROM hidden_states h WHERE h.item_id = i.item_id) AS states
     FROM items i LEFT JOIN vectors v ON v.fingerprint = ? AND v.item_id = i.item_id`;
  const page = database.prepare<[string, string, number], VectorColumns>(`${select} WHERE i.item_id > ? ORDER BY i.item_id LIMIT ?`).raw();
  const ofIds = database
    .prepare<[string, string], VectorColumns>(`${select} WHERE i.item_id IN (SELECT value FROM json_each(?)) ORDER BY i.item_id`)
    .raw();
  return {
    list: async (fingerprint, after, limit) => page.all(fingerprint, after ?? '', limit).map(toItemWithVector),
    getMany: async (fingerprint, itemIds) => ofIds.all(fingerprint, JSON.stringify(itemIds)).map(toItemWithVector),
  };
}
