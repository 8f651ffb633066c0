import type { ItemInterner } from '../../domain/item-interner.js';
import type { ItemFields } from '../../domain/item.js';
import { createSlotSet } from '../../index/slot-set.js';
import type { VectorChunk } from '../../index/vector-table.js';
import type { RecommenderPool } from '../../model/recommender-pool.js';
import type { EmbeddedItem } from './embedded-item.js';
import type { ItemTable } from './item-table.js';
import { noChange } from './membership.js';

/** A generation as snapshots read and fill it. */
export interface GenerationImage {
  /** Number of slots that were ever used; their vectors are the first rows of the chunks. */
  readonly slots: number;
  /** Number of items, with or without a vector. */
  readonly items: number;
  readonly chunks: readonly VectorChunk[];
  /** Ids and ID shares of the items in slots [first, first + count); '' and 0 for an empty slot. */
  slice(first: number, count: number): { ids: string[]; shares: Float32Array };
  /** Writes the graph of one replica to a file. @returns the slots that searches of this graph find */
  saveGraph(file: string): Promise<Int32Array>;
  /** Reserves slots in an empty generation and begins to fill it. */
  restore(slots: number): Promise<ImageRestore>;
}

/** Fills an empty generation. Order of calls: write the vectors into the chunks, loadGraph, restoreItem for each item, finish. */
export interface ImageRestore {
  readonly chunks: readonly VectorChunk[];
  /** Loads the graph into every replica. @param findable slots that searches of this graph find; their vectors are in the chunks */
  loadGraph(file: string, findable: Int32Array): Promise<void>;
  /** Gives the item indexes, see ItemInterner. */
  readonly interner: ItemInterner;
  /** Adds an item whose vector is in this slot. */
  restoreItem(fields: ItemFields, created: number, index: number, slot: number, idShare: number | null): void;
  /**
   * Ends the restore, also a failed one. Replicas add the slots that they lack and remove those that they must not hold; slots
   * without an item become free.
   */
  finish(): Promise<void>;
}

export function createGenerationImage(table: ItemTable, pool: Pick<RecommenderPool, 'save' | 'load'>, interner: ItemInterner): GenerationImage {
  const { slots, membership } = table;
  return {
    get slots() {
      return slots.count;
    },
    get items() {
      return table.size;
    },
    get chunks() {
      return slots.chunks;
    },
    slice: (first, count) => {
      const items = Array.from({ length: count }, (_, row) => slots.itemAt(first + row));
      return { ids: items.map((item) => item?.fields.item_id ?? ''), shares: Float32Array.from(items, (item) => item?.idShare ?? 0) };
    },
    saveGraph: (file) => pool.save(file),
    restore: async (count) => {
      await slots.reserve(count);
      const change = noChange();
      const held = createSlotSet();
      return {
        chunks: slots.chunks,
        loadGraph: async (file, findable) => {
          for (const slot of findable) held.add(slot);
          membership.restoreNodes(findable);
          slots.measure(findable); // the recommenders need the norms of the vectors to round them
          membership.restoreNodes(await pool.load(file, findable));
        },
        interner,
        restoreItem: (fields, created, index, slot, idShare) => {
          const item: EmbeddedItem = { fields, created, index, idShare, slot }; // in the order of the item table: one hidden class
          table.restoreItem(item);
          if (held.has(slot)) membership.restoreFindable(slot);
          membership.syncItem(item, change);
        },
        finish: async () => {
          for (const slot of held.slots()) if (slots.itemAt(slot) === undefined) change.remove.push(slot);
          await membership.notifyReplicas(change);
          slots.finishRestore();
        },
      };
    },
  };
}
