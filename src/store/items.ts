import type { HiddenStates, ItemFields, StoredVector } from '../domain/item.js';

export interface StoredItem extends ItemFields {
  created_at: number;
  updated_at: number;
  /** Of its newest change. */
  sequence: number;
}

export interface ItemWrite {
  item: ItemFields;
  hiddenStates: HiddenStates | null;
  /** One a fingerprint. Vectors of other fingerprints are dropped: they were fused from older hidden states. */
  vectors: readonly (StoredVector & { fingerprint: string })[];
}

export interface ItemWritten {
  sequence: number;
  created: boolean;
  /** When the item was created, by this write or an earlier one. */
  created_at: number;
}

/**
 * Items with their hidden states. A write resolves when it is durable, and is applied whole or not at all; reads see every
 * write that has resolved. @throws ReelfuseError 507 `storage_full`
 */
export interface ItemStore {
  put(write: ItemWrite): Promise<ItemWritten>;
  /** Changes the fields, keeps hidden states and vectors. Null: there is no such item. */
  updateFields(item: ItemFields): Promise<ItemWritten | null>;
  /** Null: there is no such item. */
  delete(itemId: string): Promise<{ sequence: number } | null>;
  get(itemId: string): Promise<StoredItem | null>;
  /** In no particular order; unknown ones are left out. */
  getMany(itemIds: readonly string[]): Promise<StoredItem[]>;
  /** By item_id, after the given one. */
  list(after: string | null, limit: number): Promise<StoredItem[]>;
  count(): Promise<number>;
  hiddenStates(itemId: string): Promise<HiddenStates | null>;
  /** Which of these items have hidden states. */
  withHiddenStates(itemIds: readonly string[]): Promise<ReadonlySet<string>>;
}
