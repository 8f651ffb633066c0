import type { ItemFields, StoredVector } from '../domain/item.js';
import type { ItemChange } from '../store/changes.js';
import type { StoredItem } from '../store/items.js';
import type { ItemWithVector, VectorStore } from '../store/vectors.js';

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

const knownByRow = (row: ItemWithVector): KnownItem => ({
  fields: fieldsOfStored(row),
  created: row.created_at,
  sequence: row.sequence,
  hasStates: row.has_hidden_states,
  stored: row.stored,
});

/** Null: the change does not say what was written. */
function knownByChange({ sequence, written }: ItemChange, fingerprint: string): KnownItem | null {
  if (written === null) return null;
  return {
    fields: written.fields,
    created: written.created_at,
    sequence,
    hasStates: written.has_hidden_states,
    stored: written.vectors.find((vector) => vector.fingerprint === fingerprint) ?? null,
  };
}

/** Items of the store by id; without those that it does not have. */
export async function readItems(
  itemIds: readonly string[],
  fingerprint: string,
  vectors: Pick<VectorStore, 'getMany'>,
): Promise<ReadonlyMap<string, KnownItem>> {
  if (itemIds.length === 0) return NO_ITEMS;
  return new Map((await vectors.getMany(fingerprint, itemIds)).map((row) => [row.item_id, knownByRow(row)]));
}

const NO_ITEMS: ReadonlyMap<string, KnownItem> = new Map();

/** What is known of the item of each change, in their order. The store is read where a change does not say. Null: the item is deleted. */
export async function readKnown(
  changes: readonly ItemChange[],
  fingerprint: string,
  vectors: Pick<VectorStore, 'getMany'>,
): Promise<(KnownItem | null)[]> {
  const unread = changes.filter(({ kind, written }) => written === null && kind !== 'delete').map(({ item_id: itemId }) => itemId);
  const stored = await readItems(unread, fingerprint, vectors);
  return changes.map((change) => stored.get(change.item_id) ?? knownByChange(change, fingerprint));
}
