import type { ItemInterner } from '../../domain/item-interner.js';
import type { ItemFields } from '../../domain/item.js';
import { createSlotSet } from '../../index/slot-set.js';
import type { VectorChunk } from '../../index/vector-table.js';
import type { RecommenderPool } from '../../model/recommender-pool.js';
import type { ItemTable } from './item-table.js';
import { noChange } from './membership.js';

/** A generation as a snapshot reads it, and as a restart fills it. */
export interface GenerationImage {
  /** Slots that were ever given out; their vectors are the first rows of the chunks. */
  readonly slots: number;
  /** Items, with or without a vector. */
  readonly items: number;
  readonly chunks: readonly VectorChunk[];
  /** Ids and ID shares of the items in slots [first, first + count); '' and 0 where no item is. */
  slice(first: number, count: number): { ids: string[]; shares: Float32Array };
  /** Writes the graph of one replica. @returns the slots that it finds */
  saveGraph(file: string): Promise<Int32Array>;
  /** Makes room in an empty generation. */
  restore(slots: number): Promise<ImageRestore>;
}

/** Fills an empty generation: vectors into the chunks, then the graph, then each item, then the end. */
export interface ImageRestore {
  readonly chunks: readonly VectorChunk[];
  /** @param findable the slots that the graph finds; their vectors are in the chunks */
  loadGraph(file: string, findable: Int32Array): Promise<void>;
  /** Numbers the items of this process, see ItemInterner. */
  readonly interner: ItemInterner;
  /** An item whose vector stands in this slot. */
  restoreItem(fields: ItemFields, created: number, index: number, slot: number, idShare: number | null): void;
  /**
   * After the last item, or when there will be none: the replicas get what they lack and lose what they should not hold, and
   * slots that no item has taken can be used again.
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
          slots.measure(findable); // the recommenders round the vectors as they take the slots, by their norms
          membership.restoreNodes(await pool.load(file, findable));
        },
        interner,
        restoreItem: (fields, created, index, slot, idShare) => {
          const item = { fields, created, index, slot, idShare };
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
