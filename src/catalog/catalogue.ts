import { createVectorTable, makeChunk, type VectorChunk, type VectorTable } from '../index/vector-table.js';
import type { RecommenderPool } from '../model/recommender-pool.js';
import type { ItemFields } from '../store/store.js';
import { createAttributeTypes, type AttributeTypes } from './attribute-types.js';
import type { ItemRows } from './item-rows.js';
import { createSlotFilters, type SlotFilters } from './slot-filters.js';

const FIRST_ROWS = 1024;

export const ITEM_STATES = ['searchable', 'pending_features', 'stored', 'hidden'] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/** What the request path needs of an item, in memory. */
export interface CatalogueItem {
  fields: ItemFields;
  created: number;
  /** Row in the vector table; null while the item has no fused vector. */
  slot: number | null;
  idShare: number | null;
  /** Of its id, see ItemRows. */
  row: number;
}

/**
 * The items of one generation, the slots of their vectors and the index replicas that hold them. A changed vector
 * gets a new slot: requests on their way keep the old one, which is reused only when every replica has let go of it.
 */
export interface Catalogue {
  readonly table: VectorTable;
  readonly size: number;
  get(itemId: string): CatalogueItem | undefined;
  /** The item that a search found in this slot, if it is still that item's slot. */
  atSlot(slot: number): CatalogueItem | undefined;
  /** Where the vector of the item with this row stands; -1: nowhere. */
  slotOfRow(row: number): number;
  readonly rows: ItemRows;
  items(): Iterable<CatalogueItem>;
  /** Resolves when every replica finds the items by their new vectors. */
  publish(entries: PublishedItem[]): Promise<void>;
  /** Changes the fields of a known item and keeps its vector; takes effect with this call. */
  describe(fields: ItemFields): void;
  /** The item is not served from this call on; resolves when its slot is free again. */
  remove(itemId: string): Promise<void>;
  counts(): Record<ItemState, number>;
  /** Of all items, with or without a vector. */
  readonly attributes: AttributeTypes;
  readonly filters: SlotFilters;
  /** Slots that were ever given out. */
  readonly slots: number;
  /** Slots that wait to be used again; the graph still holds their dead nodes. */
  readonly freeSlots: number;
  readonly chunks: readonly VectorChunk[];
  /** Makes room for this many slots in an empty catalogue, here and in every replica; their vectors are then filled in from outside. */
  reserve(slots: number): Promise<void>;
  /** Takes an item whose vector stands in its slot, and in the replicas, already. */
  adopt(item: Omit<CatalogueItem, 'row'>): void;
  /** After the last adoption: slots that no item has taken leave the replicas and can be used again. @param indexed what the replicas hold */
  releaseUnadopted(indexed: Int32Array): Promise<void>;
}

export interface PublishedItem {
  fields: ItemFields;
  created: number;
  vector: Float32Array | null;
  idShare: number | null;
}

export function stateOf({ fields, slot }: CatalogueItem, pendingFeatures: boolean): ItemState {
  if (fields.hidden) return 'hidden';
  if (slot !== null) return 'searchable';
  return pendingFeatures ? 'pending_features' : 'stored';
}

/** Hidden, not yet available and expired items are known, but never served. */
export const isServable = ({ fields }: CatalogueItem, now: number): boolean =>
  !fields.hidden && (fields.available_from === null || fields.available_from <= now) && (fields.expires_at === null || fields.expires_at > now);

export function createCatalogue(dim: number, normalised: boolean, pool: Pick<RecommenderPool, 'grow' | 'update'>, rows: ItemRows): Catalogue {
  const table = createVectorTable(dim);
  const byId = new Map<string, CatalogueItem>();
  const bySlot: (CatalogueItem | undefined)[] = [];
  const freeSlots: number[] = [];
  let slotsOfRows = new Int32Array(FIRST_ROWS).fill(-1);
  const counts: Record<ItemState, number> = { searchable: 0, pending_features: 0, stored: 0, hidden: 0 };
  const chunks: VectorChunk[] = [];
  let growing: Promise<void> = Promise.resolve();

  const grow = (): void => {
    const chunk = makeChunk(dim);
    chunks.push(chunk);
    table.attach(chunk);
    growing = pool.grow(chunk); // posted before any update that needs it
  };
  const attributes = createAttributeTypes();
  const filters = createSlotFilters({ capacity: () => table.capacity, slots: () => bySlot.length, atSlot: (slot) => bySlot[slot] });
  const place = (slot: number, item: CatalogueItem | undefined): void => {
    bySlot[slot] = item;
    filters.changed(slot, item);
  };
  const pointTo = (row: number, slot: number): void => {
    if (row >= slotsOfRows.length) {
      const grown = new Int32Array(2 ** Math.ceil(Math.log2(row + 1))).fill(-1);
      grown.set(slotsOfRows);
      slotsOfRows = grown;
    }
    slotsOfRows[row] = slot;
  };
  /** The item's part in what is counted over all items. */
  const enter = (item: CatalogueItem): void => {
    counts[stateOf(item, true)]++;
    attributes.add(item.fields.attributes);
  };
  const leave = (item: CatalogueItem): void => {
    counts[stateOf(item, true)]--;
    attributes.remove(item.fields.attributes);
  };

  const takeSlot = (): number => {
    const reused = freeSlots.pop();
    if (reused !== undefined) return reused;
    const slot = bySlot.length;
    bySlot.push(undefined);
    if (slot >= table.capacity) grow();
    return slot;
  };

  return {
    table,
    get size() {
      return byId.size;
    },
    get: (itemId) => byId.get(itemId),
    atSlot: (slot) => bySlot[slot],
    slotOfRow: (row) => slotsOfRows[row] ?? -1,
    rows,
    items: () => byId.values(),
    publish: async (entries) => {
      const add: number[] = [];
      const remove: number[] = [];
      for (const { fields, created, vector, idShare } of entries) {
        const old = byId.get(fields.item_id);
        let slot: number | null = null;
        if (vector !== null) {
          slot = takeSlot();
          table.write(slot, vector, normalised);
          add.push(slot);
        }
        const row = old?.row ?? rows.rowOf(fields.item_id);
        const item: CatalogueItem = { fields, created, slot, idShare, row };
        pointTo(row, slot ?? -1);
        if (slot !== null) place(slot, item);
        if (old !== undefined && old.slot !== null) {
          place(old.slot, undefined);
          table.free(old.slot);
          remove.push(old.slot);
        }
        if (old !== undefined) leave(old);
        enter(item);
        byId.set(fields.item_id, item);
      }
      if (add.length + remove.length === 0) return;
      await growing;
      await pool.update({ add, remove });
      freeSlots.push(...remove);
    },
    describe: (fields) => {
      const item = byId.get(fields.item_id);
      if (item === undefined) return;
      leave(item);
      item.fields = fields;
      enter(item);
      if (item.slot !== null) filters.changed(item.slot, item);
    },
    remove: async (itemId) => {
      const item = byId.get(itemId);
      if (item === undefined) return;
      byId.delete(itemId);
      leave(item);
      const { slot } = item;
      if (slot === null) return;
      pointTo(item.row, -1);
      place(slot, undefined);
      table.free(slot);
      await pool.update({ add: [], remove: [slot] });
      freeSlots.push(slot);
    },
    counts: () => ({ ...counts }),
    attributes,
    filters,
    get slots() {
      return bySlot.length;
    },
    get freeSlots() {
      return freeSlots.length;
    },
    chunks,
    reserve: async (slots) => {
      while (table.capacity < slots) grow();
      while (bySlot.length < slots) bySlot.push(undefined);
      await growing;
    },
    adopt: (described) => {
      const item: CatalogueItem = { ...described, row: rows.rowOf(described.fields.item_id) };
      pointTo(item.row, item.slot ?? -1);
      byId.set(item.fields.item_id, item);
      enter(item);
      if (item.slot === null) return;
      place(item.slot, item);
      table.revive(item.slot, normalised);
    },
    releaseUnadopted: async (indexed) => {
      const remove = [...indexed.filter((slot) => bySlot[slot] === undefined)];
      if (remove.length > 0) await pool.update({ add: [], remove });
      bySlot.forEach((item, slot) => {
        if (item === undefined) freeSlots.push(slot);
      });
    },
  };
}
