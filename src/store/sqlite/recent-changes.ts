import type { ItemChange, WrittenItem } from '../changes.js';
import type { ItemWritten } from '../items.js';
import type { DoneWrite, FieldsWritten } from './write-operations.js';

/** The newest changes of items in memory, with the written fields and vectors but without hidden states. */
export interface RecentChanges {
  add(change: ItemChange): void;
  /** Changes after this sequence; null: some of them are no longer in memory. */
  since(sequence: number, limit: number): ItemChange[] | null;
  /** Drops all changes; those up to this sequence must be read from the tables. */
  restart(sequence: number): void;
}

/** @param start sequence of the newest change at the start */
export function createRecentChanges(capacity: number, start: number): RecentChanges {
  let changes: ItemChange[] = [];
  /** All changes after this sequence are in memory. */
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
      // cut before the items are merged: a cut after it could skip a put that was merged with a later change of fields
      return mergeByItem(changes.slice(first, first + limit));
    },
    restart: (sequence) => {
      changes = [];
      floor = Math.max(floor, sequence);
    },
  };
}

/** Position of the first change after a sequence, by binary search. */
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

/** A put followed by a change of fields is a put with the newer fields. */
function merge(older: ItemChange, newer: ItemChange): ItemChange {
  if (newer.kind !== 'fields' || older.kind !== 'put') return newer;
  const written = older.written && newer.written && { ...newer.written, vectors: older.written.vectors };
  return { ...newer, kind: 'put', written };
}

/** The item change of a write; null: it changed no item. */
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
