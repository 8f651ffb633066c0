import type Database from 'better-sqlite3';
import type { ChangeFeed, ItemChange, WrittenItem } from '../changes.js';
import type { ItemWritten } from '../items.js';
import { createWatermark } from '../watermark.js';
import type { FieldsWritten, WriteOperation, WriteValue } from './write-operations.js';

/** Changes of items kept in memory, so that who follows closely need not read them from the tables. */
const KEPT_CHANGES = 8192;

export interface SqliteChangeFeed extends ChangeFeed {
  /** A group of operations is on the disk. */
  note(done: readonly { operation: WriteOperation; value: WriteValue }[]): void;
}

export function createChangeFeed(database: Database.Database): SqliteChangeFeed {
  const newestOf = (table: 'items' | 'tombstones' | 'events' | 'erasures'): number =>
    database.prepare<[], number | null>(`SELECT max(sequence) FROM ${table}`).pluck().get() ?? 0;
  let itemSequence = Math.max(newestOf('items'), newestOf('tombstones'));
  // in memory: every answer names the newest sequence
  const newest = createWatermark(Math.max(itemSequence, newestOf('events'), newestOf('erasures')));
  /** By sequence, without a gap between item changes from `keptFrom` on. */
  let kept: ItemChange[] = [];
  /** Every item change after this one is in `kept`. */
  let keptFrom = itemSequence;
  const listeners = new Set<() => void>();
  const readAfter = prepareReadAfter(database);

  const keep = (change: ItemChange): void => {
    kept.push(change);
    itemSequence = change.sequence;
    if (kept.length < 2 * KEPT_CHANGES) return;
    kept = kept.slice(-KEPT_CHANGES);
    keptFrom = (kept[0]?.sequence ?? 1) - 1;
  };

  return {
    get sequence() {
      return newest.at;
    },
    get itemSequence() {
      return itemSequence;
    },
    reached: (sequence, timeoutMs) => newest.reached(sequence, timeoutMs),
    since: async (sequence, limit) =>
      sequence >= keptFrom ? newestOfEach(kept.slice(firstAfter(kept, sequence), firstAfter(kept, sequence) + limit)) : readAfter(sequence, limit),
    onItemChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    note: (done) => {
      const before = itemSequence;
      for (const { operation, value } of done) {
        const change = changeOf(operation, value);
        if (change !== null) keep(change);
        const { sequence } = (value ?? {}) as { sequence?: number }; // null, or a value of WriteValue
        if (sequence !== undefined) newest.advance(sequence);
      }
      if (itemSequence > before) for (const listener of listeners) listener();
    },
  };
}

/** Null: no item has changed. */
function changeOf(operation: WriteOperation, value: WriteValue): ItemChange | null {
  if (value === null) return null;
  switch (operation.type) {
    case 'putItem': {
      const { item, hiddenStates, vectors } = operation.write;
      const { sequence, created_at } = value as ItemWritten; // of this operation, here and below
      return {
        sequence,
        item_id: item.item_id,
        kind: 'put',
        written: { fields: item, created_at, has_hidden_states: hiddenStates !== null, vectors },
      };
    }
    case 'updateItem': {
      const { sequence, created_at, has_hidden_states } = value as FieldsWritten;
      const { item } = operation;
      return { sequence, item_id: item.item_id, kind: 'fields', written: { fields: item, created_at, has_hidden_states, vectors: [] } };
    }
    case 'deleteItem':
      return { sequence: (value as { sequence: number }).sequence, item_id: operation.itemId, kind: 'delete', written: null };
    default:
      return null;
  }
}

/** The position of the first change after this sequence, by halving. */
function firstAfter(changes: readonly ItemChange[], sequence: number): number {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle]?.sequence ?? Infinity) <= sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Each item once, at its newest change; fields that change after a put are a put with those fields. */
function newestOfEach(changes: readonly ItemChange[]): ItemChange[] {
  const byItem = new Map<string, ItemChange>();
  for (const change of changes) {
    const earlier = byItem.get(change.item_id);
    byItem.delete(change.item_id); // to the end
    byItem.set(change.item_id, earlier === undefined ? change : merged(earlier, change));
  }
  return [...byItem.values()];
}

function merged(earlier: ItemChange, later: ItemChange): ItemChange {
  if (later.kind !== 'fields' || earlier.kind !== 'put') return later;
  return { ...later, kind: 'put', written: mergedItem(earlier.written, later.written) };
}

const mergedItem = (earlier: WrittenItem | null, later: WrittenItem | null): WrittenItem | null =>
  earlier === null || later === null ? null : { ...later, vectors: earlier.vectors };

type ChangeColumns = [sequence: number, itemId: string, isDeleted: number];

/** From the tables, where only the newest change of each item stands. */
function prepareReadAfter(database: Database.Database): (sequence: number, limit: number) => ItemChange[] {
  const changes = database
    .prepare<[number, number], ChangeColumns>(
      `SELECT sequence, item_id, is_deleted FROM (SELECT sequence, item_id, 0 AS is_deleted FROM items UNION ALL SELECT sequence, item_id, 1 FROM tombstones)
       WHERE sequence > ? ORDER BY sequence LIMIT ?`,
    )
    .raw();
  return (sequence, limit) =>
    changes
      .all(sequence, limit)
      .map(([at, itemId, isDeleted]) => ({ sequence: at, item_id: itemId, kind: isDeleted === 1 ? 'delete' : 'put', written: null }));
}
