import { setImmediate as nextTurn } from 'node:timers/promises';
import { createVectorTable, makeChunk, type VectorChunk, type VectorTable } from '../index/vector-table.js';
import type { RecommenderPool } from '../model/recommender-pool.js';
import type { ItemFields } from '../store/store.js';
import { createAttributeTypes, type AttributeTypes } from './attribute-types.js';
import { createSlotFilters, type SlotFilters } from './slot-filters.js';

export const ITEM_STATES = ['searchable', 'pending_features', 'stored', 'hidden'] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/** What the request path needs of an item, in memory. */
export interface CatalogueItem {
  fields: ItemFields;
  created: number;
  /** Row in the vector table; null while the item has no fused vector. */
  slot: number | null;
  idShare: number | null;
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
  items(): Iterable<CatalogueItem>;
  /** Resolves when every replica finds the items by their new vectors. */
  publish(entries: PublishedItem[]): Promise<void>;
  /** Changes the fields of a known item and keeps its vector; takes effect with this call. */
  describe(fields: ItemFields): void;
  /** The item is not served from this call on; resolves when its slot is free again. */
  remove(itemId: string): Promise<void>;
  counts(): Record<ItemState, number>;
  /** Items that are not hidden, but outside their time; goes through those that have one, in slices. */
  unavailable(now: number): Promise<Record<'scheduled' | 'expired', number>>;
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
  adopt(item: CatalogueItem): void;
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

export const AVAILABILITIES = ['now', 'scheduled', 'expired'] as const;
/** Whether its times let an item be served; that it is hidden is another matter. */
export type Availability = (typeof AVAILABILITIES)[number];

export function availabilityOf({ available_from: from, expires_at: until }: ItemFields, now: number): Availability {
  if (until !== null && until <= now) return 'expired';
  return from !== null && from > now ? 'scheduled' : 'now';
}

/** Hidden, not yet available and expired items are known, but never served. */
export const isServable = ({ fields }: CatalogueItem, now: number): boolean => !fields.hidden && availabilityOf(fields, now) === 'now';

/** Items between two turns of the event loop while those outside their time are counted. */
const SLICE = 4096;

export function createCatalogue(dim: number, normalised: boolean, pool: Pick<RecommenderPool, 'grow' | 'update'>): Catalogue {
  const table = createVectorTable(dim);
  const byId = new Map<string, CatalogueItem>();
  const bySlot: (CatalogueItem | undefined)[] = [];
  const freeSlots: number[] = [];
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
  const timed = new Set<CatalogueItem>();
  /** The item's part in what is counted over all items. */
  const enter = (item: CatalogueItem): void => {
    counts[stateOf(item, true)]++;
    attributes.add(item.fields.attributes);
    if (item.fields.available_from !== null || item.fields.expires_at !== null) timed.add(item);
  };
  const leave = (item: CatalogueItem): void => {
    counts[stateOf(item, true)]--;
    attributes.remove(item.fields.attributes);
    timed.delete(item);
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
        const item: CatalogueItem = { fields, created, slot, idShare };
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
      place(slot, undefined);
      table.free(slot);
      await pool.update({ add: [], remove: [slot] });
      freeSlots.push(slot);
    },
    counts: () => ({ ...counts }),
    unavailable: async (now) => {
      const found = { scheduled: 0, expired: 0 };
      let seen = 0;
      for (const { fields } of timed) {
        const availability = availabilityOf(fields, now);
        if (!fields.hidden && availability !== 'now') found[availability]++;
        if (++seen % SLICE === 0) await nextTurn();
      }
      return found;
    },
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
    adopt: (item) => {
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
