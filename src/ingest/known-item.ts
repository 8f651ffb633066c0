import type { ItemFields, StoredVector } from '../domain/item.js';
import type { ItemChange } from '../store/changes.js';
import type { StoredItem } from '../store/items.js';
import type { ItemWithVector } from '../store/vectors.js';

/** A stored item as an indexer needs it. */
export interface KnownItem {
  fields: ItemFields;
  created: number;
  /** Of its newest change. */
  sequence: number;
  hasStates: boolean;
  /** Vector by the model of the indexer; null: there is none. */
  stored: StoredVector | null;
}

/** Field by field, because millions of them are made while a server starts. */
export function fieldsOfStored(item: StoredItem): ItemFields {
  const { item_id, title, author_id, attributes, available_from, expires_at, hidden } = item;
  return { item_id, title, author_id, attributes, available_from, expires_at, hidden };
}

export const knownByRow = (row: ItemWithVector): KnownItem => ({
  fields: fieldsOfStored(row),
  created: row.created_at,
  sequence: row.sequence,
  hasStates: row.has_hidden_states,
  stored: row.stored,
});

/** Null: the change does not say what was written. */
export function knownByChange({ sequence, written }: ItemChange, fingerprint: string): KnownItem | null {
  if (written === null) return null;
  return {
    fields: written.fields,
    created: written.created_at,
    sequence,
    hasStates: written.has_hidden_states,
    stored: written.vectors.find((vector) => vector.fingerprint === fingerprint) ?? null,
  };
}
