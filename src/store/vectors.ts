import type { StoredVector } from '../domain/item.js';
import type { StoredItem } from './items.js';

export interface ItemWithVector extends StoredItem {
  /** Of the fingerprint that was asked for; null: there is none. */
  stored: StoredVector | null;
  has_hidden_states: boolean;
}

/** A vector that was fused from what the store has of an item. */
export interface FusedItem extends StoredVector {
  item_id: string;
  /** Newest change of the item when it was read; absent: the item cannot have changed since. */
  sequence?: number;
}

/** Fused item vectors by the fingerprint of the model that fused them: derived, so they can be made again. */
export interface VectorStore {
  /**
   * Vectors of items that do not exist, or have changed since `sequence`, are left out: an item may be deleted while it is
   * fused, or get other hidden states.
   */
  save(fingerprint: string, vectors: readonly FusedItem[]): Promise<void>;
  /** Items by item_id, after the given one, with their vectors. */
  list(fingerprint: string, after: string | null, limit: number): Promise<ItemWithVector[]>;
  /** The same for these items, by item_id; unknown ones are left out. */
  getMany(fingerprint: string, itemIds: readonly string[]): Promise<ItemWithVector[]>;
  /** Drops up to `limit` vectors of all fingerprints but these. @returns how many were dropped */
  dropOthers(keep: readonly string[], limit: number): Promise<number>;
}
