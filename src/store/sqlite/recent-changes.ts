import type { ItemChange, WrittenItem } from '../changes.js';
import type { ItemWritten } from '../items.js';
import type { DoneWrite, FieldsWritten } from './write-operations.js';

/** The newest changes of items, in memory, with what was written. Hidden states are not among it. */
export interface RecentChanges {
  add(change: ItemChange): void;
  /** Null: not all changes after this sequence are here. */
  since(sequence: number, limit: number): ItemChange[] | null;
  /** Forgets all: changes up to this sequence are read from the tables. */
  restart(sequence: number): void;
}

/** @param start the newest change when there is none here yet */
export function createRecentChanges(capacity: number, start: number): RecentChanges {
  let changes: ItemChange[] = [];
  /** Every change after it is here. */
  let floor = start;
  return {
    add: (change) => {
      changes.push(change);
      if (changes.length < 2 * capacity) return;
      const kept = changes.length - capacity;
      floor = Math.max(floor, changes[kept - 1]?.sequence ?? floor);
      changes = changes.slice(kept);
    },
    since: (sequence, limit) => {
      if (sequence < floor) return null;
      const first = firstAfter(changes, sequence);
      // the range is cut before items are merged: cut afterwards, the reader could pass a put that fields have covered
      return mergeByItem(changes.slice(first, first + limit));
    },
    restart: (sequence) => {
      changes = [];
      floor = Math.max(floor, sequence);
    },
  };
}

/** Binary search; changes stand by sequence. */
function firstAfter(changes: readonly ItemChange[], sequence: number): number {
  let from = 0;
  let to = changes.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((changes[middle]?.sequence ?? 0) <= sequence) from = middle + 1;
    else to = middle;
  }
  return from;
}

function mergeByItem(changes: readonly ItemChange[]): ItemChange[] {
  const newest = new Map<string, ItemChange>();
  for (const change of changes) {
    const older = newest.get(change.item_id);
    newest.delete(change.item_id); // a map keeps the order of insertion
    newest.set(change.item_id, older === undefined ? change : merge(older, change));
  }
  return [...newest.values()];
}

/** Fields written over a put leave its hidden states and vectors to be read. */
function merge(older: ItemChange, newer: ItemChange): ItemChange {
  if (newer.kind !== 'fields' || older.kind !== 'put') return newer;
  const written = older.written && newer.written && { ...newer.written, vectors: older.written.vectors };
  return { ...newer, kind: 'put', written };
}

/** The change that a write has made to an item; null: it has made none. */
export function changeOf({ operation, value }: DoneWrite): ItemChange | null {
  if (value === null) return null; // there was no such item
  switch (operation.type) {
    case 'putItem': {
      const { item: fields, hiddenStates, vectors } = operation.write;
      const { sequence, created_at } = value as ItemWritten; // of this operation, here and below
      const written: WrittenItem = { fields, created_at, has_hidden_states: hiddenStates !== null, vectors };
      return { sequence, item_id: fields.item_id, kind: 'put', written };
    }
    case 'updateItem': {
      const { sequence, created_at, has_hidden_states } = value as FieldsWritten;
      const written: WrittenItem = { fields: operation.item, created_at, has_hidden_states, vectors: [] };
      return { sequence, item_id: operation.item.item_id, kind: 'fields', written };
    }
    case 'deleteItem':
      return { sequence: (value as { sequence: number }).sequence, item_id: operation.itemId, kind: 'delete', written: null };
    default:
      return null;
  }
}
