import type Database from 'better-sqlite3';
import { UNKNOWN_TIME, type ItemFields, type StoredVector } from '../../domain/item.js';
import type { ItemWrite } from '../items.js';
import type { FusedItem } from '../vectors.js';
import type { AttributeWrites } from './attribute-writes.js';
import { checksumOf } from '../checksum.js';
import type { FieldsWritten, PutWritten, SequenceCounter } from './write-operations.js';

const bytesOf = (vector: Float32Array): Buffer => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);

/** No change of an item is newer. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** Items, their hidden states and their vectors. Writes of an item register its attributes. */
export interface ItemWrites {
  /** @throws ReelfuseError 422 `invalid_request` as AttributeWrites */
  put(write: ItemWrite): PutWritten;
  /** @throws as `put` */
  updateFields(item: ItemFields): FieldsWritten | null;
  delete(itemId: string): { sequence: number } | null;
  saveVectors(fingerprint: string, vectors: readonly FusedItem[]): void;
  discardVectors(itemIds: readonly string[]): void;
  dropVectors(keep: readonly string[], limit: number): { dropped: number };
}

export function prepareItemWrites(database: Database.Database, sequence: SequenceCounter, attributes: Pick<AttributeWrites, 'admit'>): ItemWrites {
  const putItem = database.prepare(
    `INSERT INTO items (item_id, title, author_id, attributes, available_from, expires_at, hidden, created_at, updated_at, sequence)
     VALUES (@item_id, @title, @author_id, @attributes, @available_from, @expires_at, @hidden, @created, @now, @sequence)
     ON CONFLICT (item_id) DO UPDATE SET title = excluded.title, author_id = excluded.author_id, attributes = excluded.attributes,
       available_from = excluded.available_from, expires_at = excluded.expires_at, hidden = excluded.hidden,
       updated_at = excluded.updated_at, sequence = excluded.sequence`,
  );
  const createdAt = database.prepare<[string], number>('SELECT created_at FROM items WHERE item_id = ?').pluck();
  const hasStates = database.prepare<[string], number>('SELECT 1 FROM hidden_states WHERE item_id = ?').pluck();
  const dropStates = database.prepare('DELETE FROM hidden_states WHERE item_id = ?');
  const putStates = database.prepare(
    'INSERT OR REPLACE INTO hidden_states (item_id, dtype, layers, width, data, checksum) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const dropVectorsOf = database.prepare('DELETE FROM vectors WHERE item_id = ?');
  // only while the item is unchanged: it may have been deleted, or got other hidden states, while its vector was fused
  const putVector = database.prepare(
    `INSERT OR REPLACE INTO vectors (fingerprint, item_id, id_share, vector, checksum)
     SELECT ?, item_id, ?, ?, ? FROM items WHERE item_id = ? AND sequence <= ?`,
  );
  const saveVector = (fingerprint: string, itemId: string, { vector, id_share: share }: StoredVector, upTo: number): void => {
    const blob = bytesOf(vector);
    putVector.run(fingerprint, share, blob, checksumOf(blob, fingerprint, itemId), itemId, upTo);
  };
  const dropItem = database.prepare('DELETE FROM items WHERE item_id = ?');
  const putTombstone = database.prepare('INSERT OR REPLACE INTO tombstones (item_id, sequence) VALUES (?, ?)');
  const dropTombstone = database.prepare('DELETE FROM tombstones WHERE item_id = ?');
  const dropOthers = database.prepare(
    `DELETE FROM vectors WHERE (fingerprint, item_id) IN
       (SELECT fingerprint, item_id FROM vectors WHERE fingerprint NOT IN (SELECT value FROM json_each(?)) LIMIT ?)`,
  );
  const rowOf = (item: ItemFields, now = Date.now()) => ({
    ...item,
    attributes: JSON.stringify(item.attributes),
    hidden: item.hidden ? 1 : 0,
    now,
    created: now,
    sequence: sequence.next(),
  });

  return {
    put: ({ item, hiddenStates, vectors, isImport = false }) => {
      const registered = attributes.admit(item.attributes);
      const known = createdAt.get(item.item_id);
      const row = rowOf(item);
      if (isImport) row.created = UNKNOWN_TIME;
      putItem.run(row);
      dropTombstone.run(item.item_id);
      dropVectorsOf.run(item.item_id);
      if (hiddenStates === null) dropStates.run(item.item_id);
      else {
        const { dtype, shape, data } = hiddenStates;
        putStates.run(item.item_id, dtype, ...shape, data, checksumOf(data, item.item_id));
      }
      for (const vector of vectors) saveVector(vector.fingerprint, item.item_id, vector, NEWEST);
      return { sequence: row.sequence, created: known === undefined, created_at: known ?? row.created, attributes: registered };
    },
    updateFields: (item) => {
      const known = createdAt.get(item.item_id);
      if (known === undefined) return null;
      const registered = attributes.admit(item.attributes);
      const row = rowOf(item);
      putItem.run(row);
      const hasHiddenStates = hasStates.get(item.item_id) === 1;
      return { sequence: row.sequence, created: false, created_at: known, has_hidden_states: hasHiddenStates, attributes: registered };
    },
    delete: (itemId) => {
      if (dropItem.run(itemId).changes === 0) return null;
      const deleted = sequence.next();
      putTombstone.run(itemId, deleted);
      return { sequence: deleted };
    },
    saveVectors: (fingerprint, vectors) => {
      for (const fused of vectors) saveVector(fingerprint, fused.item_id, fused, fused.sequence ?? NEWEST);
    },
    discardVectors: (itemIds) => {
      for (const itemId of itemIds) dropVectorsOf.run(itemId);
    },
    dropVectors: (keep, limit) => ({ dropped: dropOthers.run(JSON.stringify(keep), limit).changes }),
  };
}
