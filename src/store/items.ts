import type { HiddenStates, ItemFields, StoredVector } from '../domain/item.js';

export interface StoredItem extends ItemFields {
  created_at: number;
  updated_at: number;
  /** Sequence of its newest change. */
  sequence: number;
}

export interface ItemWrite {
  item: ItemFields;
  hiddenStates: HiddenStates | null;
  /** One vector for each fingerprint. Vectors of other fingerprints are dropped: they were fused from older hidden states. */
  vectors: readonly (StoredVector & { fingerprint: string })[];
  /** True: the time of the write says nothing about the item's age, so a new item gets UNKNOWN_TIME as its creation time. */
  isImport?: boolean;
}

export interface ItemWritten {
  sequence: number;
  created: boolean;
  /** When the item was created, by this write or an earlier one; UNKNOWN_TIME: by an import. */
  created_at: number;
}

/**
 * Items with their hidden states. A write resolves when it is durable; it is applied as a whole or not at all. Reads see every
 * write that has resolved. `put` and `updateFields` register the attributes, see AttributeStore.
 * Writes @throws ReelfuseError 507 `storage_full`; `put` and `updateFields` 422 `invalid_request` when an attribute is refused, with a
 * pointer relative to the item
 */
export interface ItemStore {
  put(write: ItemWrite): Promise<ItemWritten>;
  /** Replaces the fields, keeps hidden states and vectors. Null: there is no such item. */
  updateFields(item: ItemFields): Promise<ItemWritten | null>;
  /** Null: there is no such item. */
  delete(itemId: string): Promise<{ sequence: number } | null>;
  get(itemId: string): Promise<StoredItem | null>;
  /** Items in no particular order; unknown ids are left out. */
  getMany(itemIds: readonly string[]): Promise<StoredItem[]>;
  /** Items by item_id, after the given one; null: from the first. */
  list(after: string | null, limit: number): Promise<StoredItem[]>;
  count(): Promise<number>;
  hiddenStates(itemId: string): Promise<HiddenStates | null>;
  /** Which of these items have hidden states. */
  withHiddenStates(itemIds: readonly string[]): Promise<ReadonlySet<string>>;
}
