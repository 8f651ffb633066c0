import type { StoredVector } from '../domain/item.js';
import type { StoredItem } from './items.js';

export interface ItemWithVector extends StoredItem {
  /** Vector by the requested fingerprint; null: there is none. */
  stored: StoredVector | null;
  has_hidden_states: boolean;
}

/** A vector that was fused from stored hidden states. */
export interface FusedItem extends StoredVector {
  item_id: string;
  /** Sequence of the item when it was read; absent: the item cannot have changed since. */
  sequence?: number;
}

/** Fused item vectors by the fingerprint of their model. They are derived data and can be fused again. */
export interface VectorStore {
  /**
   * Saves vectors, except those of items that do not exist or have changed since `sequence`: an item may be deleted, or get other
   * hidden states, while it is fused.
   */
  save(fingerprint: string, vectors: readonly FusedItem[]): Promise<void>;
  /** Items with their vectors by item_id, after the given one; null: from the first. */
  list(fingerprint: string, after: string | null, limit: number): Promise<ItemWithVector[]>;
  /** These items with their vectors, by item_id; unknown ids are left out. */
  getMany(fingerprint: string, itemIds: readonly string[]): Promise<ItemWithVector[]>;
  /** Drops the vectors of these items, of every fingerprint; the next start fuses them again. */
  discard(itemIds: readonly string[]): Promise<void>;
  /** Drops up to `limit` vectors of fingerprints that are not in `keep`. @returns the number of dropped vectors */
  dropOthers(keep: readonly string[], limit: number): Promise<number>;
}
