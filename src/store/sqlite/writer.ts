import type Database from 'better-sqlite3';
import type { Erased, EventWrite, EventsWritten, ItemFields, ItemWrite, ItemWritten, KeptAnswer, ModelRecord, StoredVector } from '../store.js';

export type WriteOperation =
  | { type: 'putItem'; write: ItemWrite }
  | { type: 'updateItem'; item: ItemFields }
  | { type: 'deleteItem'; itemId: string }
  | { type: 'appendEvents'; events: EventWrite[] }
  | { type: 'eraseUser'; userId: string; limit: number }
  | { type: 'expireEvents'; before: number; limit: number }
  | { type: 'saveVectors'; fingerprint: string; vectors: (StoredVector & { item_id: string })[] }
  | { type: 'dropVectors'; keep: string[]; limit: number }
  | { type: 'registerModel'; model: ModelRecord }
  | { type: 'keepAnswer'; answer: KeptAnswer; dropBefore: number }
  | { type: 'setMeta'; key: string; value: string };

type Value = ItemWritten | EventsWritten | Erased | { dropped: number } | { sequence: number } | null;
export type WriteOutcome = { value: Value } | { error: string };

const bytesOf = (vector: Float32Array): Buffer => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);

interface ErasedRow {
  sequence: number;
  item_id: string;
  at: number;
  type: string;
  positive: number;
}

/** Events by user stand in two partial indexes, seen_by_user and impressions_by_user; asked for by halves, each finds its own. */
const KINDS_BY_USER = [`type <> 'impression'`, `type = 'impression'`] as const;

/** Applies operations to the database; the caller decides what one transaction is. */
export function createWriter(database: Database.Database): (operations: WriteOperation[]) => WriteOutcome[] {
  const newest = database.prepare<[], { sequence: number | null }>(
    'SELECT max(sequence) AS sequence FROM (SELECT max(sequence) AS sequence FROM items UNION ALL SELECT max(sequence) FROM tombstones UNION ALL SELECT max(sequence) FROM events UNION ALL SELECT max(sequence) FROM erasures)',
  );
  const putItem = database.prepare(
    `INSERT INTO items (item_id, title, author_id, attributes, available_from, expires_at, hidden, created_at, updated_at, sequence)
     VALUES (@item_id, @title, @author_id, @attributes, @available_from, @expires_at, @hidden, @now, @now, @sequence)
     ON CONFLICT (item_id) DO UPDATE SET title = excluded.title, author_id = excluded.author_id, attributes = excluded.attributes,
       available_from = excluded.available_from, expires_at = excluded.expires_at, hidden = excluded.hidden,
       updated_at = excluded.updated_at, sequence = excluded.sequence`,
  );
  const createdAt = database.prepare<[string], number>('SELECT created_at FROM items WHERE item_id = ?').pluck();
  const dropStates = database.prepare('DELETE FROM hidden_states WHERE item_id = ?');
  const putStates = database.prepare('INSERT OR REPLACE INTO hidden_states (item_id, dtype, layers, width, data) VALUES (?, ?, ?, ?, ?)');
  const dropVectors = database.prepare('DELETE FROM vectors WHERE item_id = ?');
  // only for items that still exist: a vector may arrive after its item was deleted
  const putVector = database.prepare(
    'INSERT OR REPLACE INTO vectors (fingerprint, item_id, id_share, vector) SELECT ?, item_id, ?, ? FROM items WHERE item_id = ?',
  );
  const dropItem = database.prepare('DELETE FROM items WHERE item_id = ?');
  const putTombstone = database.prepare('INSERT OR REPLACE INTO tombstones (item_id, sequence) VALUES (?, ?)');
  const dropTombstone = database.prepare('DELETE FROM tombstones WHERE item_id = ?');
  const putEvent = database.prepare(
    `INSERT INTO events (sequence, event_id, user_id, item_id, type, at, watch_ms, duration_ms, watch_portion, recommendation_id, positive)
     VALUES (@sequence, @event_id, @user_id, @item_id, @type, @at, @watch_ms, @duration_ms, @watch_portion, @recommendation_id, @positive)
     ON CONFLICT (event_id) DO NOTHING`,
  );
  const ofUser = KINDS_BY_USER.map((kind) =>
    database.prepare<[string, number], ErasedRow>(`SELECT sequence, item_id, at, type, positive FROM events WHERE user_id = ? AND ${kind} LIMIT ?`),
  );
  const oldest = database.prepare<[number, number], ErasedRow>(
    'SELECT sequence, item_id, at, type, positive FROM events WHERE at < ? ORDER BY at LIMIT ?',
  );
  const dropEvent = database.prepare('DELETE FROM events WHERE sequence = ?');
  const markErasure = database.prepare('INSERT OR REPLACE INTO erasures (kind, sequence) VALUES (?, ?)');
  const dropOthers = database.prepare(
    `DELETE FROM vectors WHERE (fingerprint, item_id) IN
       (SELECT fingerprint, item_id FROM vectors WHERE fingerprint NOT IN (SELECT value FROM json_each(?)) LIMIT ?)`,
  );
  const putModel = database.prepare(
    `INSERT INTO models (fingerprint, folder, manifest, registered_at) VALUES (@fingerprint, @folder, @manifest, @registered_at)
     ON CONFLICT (fingerprint) DO UPDATE SET folder = excluded.folder`,
  );
  const putAnswer = database.prepare(
    'INSERT OR REPLACE INTO kept_answers (key, digest, status, answer, created_at) VALUES (@key, @digest, @status, @answer, @created_at)',
  );
  const dropAnswers = database.prepare(
    'DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers WHERE created_at < ? ORDER BY created_at LIMIT 20)',
  );
  const putMeta = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');

  let sequence = newest.get()?.sequence ?? 0;

  const rowOf = (item: ItemFields) => ({
    ...item,
    attributes: JSON.stringify(item.attributes),
    hidden: item.hidden ? 1 : 0,
    now: Date.now(),
    sequence: ++sequence,
  });
  const erased = (kind: 'user' | 'age', rows: ErasedRow[]): Erased => {
    if (rows.length > 0) markErasure.run(kind, ++sequence);
    const positives = rows.filter(({ positive }) => positive === 1).map(({ item_id, at }) => ({ item_id, at }));
    const impressions = rows.filter(({ type }) => type === 'impression').map(({ item_id: itemId }) => itemId);
    return { events: rows.length, positives, impressions, sequence };
  };

  const apply = (operation: WriteOperation): Value => {
    switch (operation.type) {
      case 'putItem': {
        const { item, hiddenStates, vectors } = operation.write;
        const known = createdAt.get(item.item_id);
        const row = rowOf(item);
        putItem.run(row);
        dropTombstone.run(item.item_id);
        dropVectors.run(item.item_id);
        if (hiddenStates === null) dropStates.run(item.item_id);
        else putStates.run(item.item_id, hiddenStates.dtype, ...hiddenStates.shape, hiddenStates.data);
        for (const { fingerprint, id_share: share, vector } of vectors) putVector.run(fingerprint, share, bytesOf(vector), item.item_id);
        return { sequence, created: known === undefined, created_at: known ?? row.now };
      }
      case 'updateItem': {
        const known = createdAt.get(operation.item.item_id);
        if (known === undefined) return null;
        putItem.run(rowOf(operation.item));
        return { sequence, created: false, created_at: known };
      }
      case 'deleteItem': {
        if (dropItem.run(operation.itemId).changes === 0) return null;
        putTombstone.run(operation.itemId, ++sequence);
        return { sequence };
      }
      case 'appendEvents': {
        const accepted = operation.events.map((event) => {
          const inserted = putEvent.run({ ...event, positive: event.positive ? 1 : 0, sequence: sequence + 1 }).changes === 1;
          if (inserted) sequence++;
          return inserted;
        });
        return { accepted, sequence };
      }
      case 'eraseUser': {
        const rows: ErasedRow[] = [];
        for (const select of ofUser) rows.push(...select.all(operation.userId, operation.limit - rows.length));
        for (const row of rows) dropEvent.run(row.sequence);
        return erased('user', rows);
      }
      case 'expireEvents': {
        const rows = oldest.all(operation.before, operation.limit);
        for (const row of rows) dropEvent.run(row.sequence);
        return erased('age', rows);
      }
      case 'saveVectors':
        for (const { item_id: itemId, vector, id_share: share } of operation.vectors)
          putVector.run(operation.fingerprint, share, bytesOf(vector), itemId);
        return null;
      case 'dropVectors':
        return { dropped: dropOthers.run(JSON.stringify(operation.keep), operation.limit).changes };
      case 'registerModel':
        putModel.run(operation.model);
        return null;
      case 'keepAnswer':
        dropAnswers.run(operation.dropBefore);
        putAnswer.run(operation.answer);
        return null;
      case 'setMeta':
        putMeta.run(operation.key, operation.value);
        return null;
    }
  };

  const savepoint = database.transaction(apply); // nested in the group's transaction, so it becomes a savepoint
  const group = database.transaction((operations: WriteOperation[]): WriteOutcome[] =>
    operations.map((operation) => {
      const before = sequence;
      try {
        return { value: savepoint(operation) };
      } catch (error) {
        // a full disk rolls the whole group back: going on would begin another transaction
        if (!database.inTransaction) throw error;
        sequence = before;
        return { error: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
  return (operations) => {
    const before = sequence;
    try {
      return group.immediate(operations);
    } catch (error) {
      sequence = before; // the commit itself failed: nothing of the group is there
      throw error;
    }
  };
}
