import type { ItemFields, StoredVector } from '../domain/item.js';

/** The newest change of an item. */
export interface ItemChange {
  sequence: number;
  item_id: string;
  /** `put`: hidden states and vectors may be others; `fields`: they are as they were. */
  kind: 'put' | 'fields' | 'delete';
  /** What was written, where this process has written it a moment ago: it need not be read again. */
  written: WrittenItem | null;
}

export interface WrittenItem {
  fields: ItemFields;
  created_at: number;
  has_hidden_states: boolean;
  /** Those of the write; of a change of fields none. */
  vectors: readonly (StoredVector & { fingerprint: string })[];
}

/**
 * The change feed. Every change of an item, of events and every erasure has a sequence; sequences rise with the order in which
 * changes become visible, so a reader that keeps the newest one that it has read skips nothing.
 */
export interface ChangeFeed {
  /** The newest change of anything that reads of this process see. A number in memory: every answer names it. */
  readonly sequence: number;
  /** The newest change of an item. */
  readonly itemSequence: number;
  /** Resolves to true when this change is visible, to false when it is not after `timeoutMs`. */
  reached(sequence: number, timeoutMs: number): Promise<boolean>;
  /**
   * Items that have changed after this sequence, by sequence, each once, with its newest change; of an item that changes twice,
   * a page may hold the earlier change and the next page the newer one. A page may hold fewer than `limit` before the end. A
   * change that comes while they are read is among them or comes with the next call.
   */
  since(sequence: number, limit: number): Promise<ItemChange[]>;
  /** The listener is called after an item has changed, before the write resolves. @returns a function that ends it */
  onItemChange(listener: () => void): () => void;
}
