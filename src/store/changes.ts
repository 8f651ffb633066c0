import type { ItemFields, StoredVector } from '../domain/item.js';

/** The newest change of an item. */
export interface ItemChange {
  sequence: number;
  item_id: string;
  /** `put`: hidden states and vectors may have changed. `fields`: they are unchanged. */
  kind: 'put' | 'fields' | 'delete';
  /** The written item, when the feed still has it in memory; null: read it from the store. */
  written: WrittenItem | null;
}

export interface WrittenItem {
  fields: ItemFields;
  created_at: number;
  has_hidden_states: boolean;
  /** Vectors of the write; empty for a change of fields. */
  vectors: readonly (StoredVector & { fingerprint: string })[];
}

/**
 * The change feed. Every change of an item, every event and every erasure has a sequence. Sequences rise in the order in which
 * changes become visible, so a reader that continues after its newest sequence misses no change.
 */
export interface ChangeFeed {
  /** Sequence of the newest change that reads of this process see. It is kept in memory: every answer names it. */
  readonly sequence: number;
  /** Sequence of the newest change of an item. */
  readonly itemSequence: number;
  /** Resolves to true when this change is visible; to false after `timeoutMs`. */
  reached(sequence: number, timeoutMs: number): Promise<boolean>;
  /**
   * Changed items after this sequence, by sequence, each once with its newest change. When an item changes twice, one page may
   * hold the earlier change and the next page the newer one. A page before the end may hold fewer than `limit` items. A change
   * that is made during the call is in this page or in a later one.
   */
  since(sequence: number, limit: number): Promise<ItemChange[]>;
  /** Calls the listener after an item has changed, before the write resolves. @returns a function that removes the listener */
  onItemChange(listener: () => void): () => void;
}
