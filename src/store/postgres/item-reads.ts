import { DamagedError } from '../../storage-faults.js';
import type { HiddenStates, StoredVector } from '../../domain/item.js';
import { isSound } from '../checksum.js';
import type { ItemStore } from '../items.js';
import type { ItemWithVector, VectorStore } from '../vectors.js';
import type { Database } from './database.js';
import { ITEM_COLUMNS, toItem, type ItemRow } from './item-rows.js';

interface StatesRow {
  dtype: HiddenStates['dtype'];
  layers: number;
  width: number;
  data: Buffer;
  checksum: number;
}

interface VectorRow extends ItemRow {
  vector: Buffer | null;
  id_share: number | null;
  checksum: number | null;
  has_states: boolean;
}

export type ItemReads = Pick<ItemStore, 'get' | 'getMany' | 'list' | 'count' | 'hiddenStates' | 'withHiddenStates'>;

export function prepareItemReads({ rows }: Pick<Database, 'rows'>): ItemReads {
  const getMany = async (itemIds: readonly string[]) =>
    itemIds.length === 0 ? [] : (await rows<ItemRow>(`SELECT ${ITEM_COLUMNS} FROM items i WHERE item_id = ANY ($1)`, [itemIds])).map(toItem);
  return {
    get: async (itemId) => (await getMany([itemId]))[0] ?? null,
    getMany,
    list: async (after, limit) =>
      (await rows<ItemRow>(`SELECT ${ITEM_COLUMNS} FROM items i WHERE item_id > $1 ORDER BY item_id LIMIT $2`, [after ?? '', limit])).map(toItem),
    count: async () => (await rows<{ count: number }>('SELECT count(*) FROM items'))[0]?.count ?? 0,
    hiddenStates: async (itemId) => {
      const [row] = await rows<StatesRow>('SELECT dtype, layers, width, data, checksum FROM hidden_states WHERE item_id = $1', [itemId]);
      if (row === undefined) return null;
      if (!isSound(row.checksum, row.data, itemId))
        throw new DamagedError(`hidden_states of the item ${JSON.stringify(itemId)}: its checksum does not hold`);
      return { dtype: row.dtype, shape: [row.layers, row.width], data: row.data };
    },
    withHiddenStates: async (itemIds) =>
      new Set(
        (await rows<{ item_id: string }>('SELECT item_id FROM hidden_states WHERE item_id = ANY ($1)', [itemIds])).map(({ item_id: id }) => id),
      ),
  };
}

export type VectorReads = Pick<VectorStore, 'list' | 'getMany'>;

export function prepareVectorReads({ rows }: Pick<Database, 'rows'>): VectorReads {
  const select = `SELECT ${ITEM_COLUMNS}, v.vector, v.id_share, v.checksum,
      EXISTS (SELECT 1 FROM hidden_states h WHERE h.item_id = i.item_id) AS has_states
    FROM items i LEFT JOIN vectors v ON v.fingerprint = $1 AND v.item_id = i.item_id`;
  return {
    list: async (fingerprint, after, limit) =>
      (await rows<VectorRow>(`${select} WHERE i.item_id > $2 ORDER BY i.item_id LIMIT $3`, [fingerprint, after ?? '', limit])).map((row) =>
        toItemWithVector(row, fingerprint),
      ),
    getMany: async (fingerprint, itemIds) =>
      itemIds.length === 0
        ? []
        : (await rows<VectorRow>(`${select} WHERE i.item_id = ANY ($2) ORDER BY i.item_id`, [fingerprint, itemIds])).map((row) =>
            toItemWithVector(row, fingerprint),
          ),
  };
}

/** A damaged vector counts as missing: it is fused again. */
function toItemWithVector(row: VectorRow, fingerprint: string): ItemWithVector {
  const { vector, id_share: share, checksum, has_states: has } = row;
  const isWhole = vector !== null && share !== null && isSound(checksum, vector, fingerprint, row.item_id);
  const stored: StoredVector | null = isWhole ? { vector: new Float32Array(new Uint8Array(vector).buffer), id_share: share } : null;
  return { ...toItem(row), stored, has_hidden_states: has };
}
