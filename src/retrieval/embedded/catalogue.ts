import { setImmediate as nextTurn } from 'node:timers/promises';
import { createSlotSet } from '../../index/slot-set.js';
import { createVectorTable, makeChunk, type VectorChunk, type VectorTable } from '../../index/vector-table.js';
import type { RecommenderPool } from '../../model/recommender-pool.js';
import type { ItemFields } from '../../store/store.js';
import { createAttributeTypes, type AttributeTypes } from '../../domain/attributes.js';
import type { ItemRows } from '../../domain/item-interner.js';
import { createSchedule, type Clock } from './schedule.js';
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
 * The replicas hold only what can be served now: among items that cannot, a search would have to look far for others.
 * A hidden, expired or not yet available item keeps its slot and vector; it comes and goes as its fields and the time say.
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
  /** Changes the fields of a known item and keeps its vector; takes effect with this call, and resolves when every replica has followed. */
  describe(fields: ItemFields): Promise<void>;
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
  /** Slots that wait to be used again. */
  readonly freeSlots: number;
  /** Items that a search can find. */
  readonly indexed: number;
  /** Nodes that the graph keeps of what it no longer finds. */
  readonly deadNodes: number;
  readonly chunks: readonly VectorChunk[];
  /** Makes room for this many slots in an empty catalogue, here and in every replica; their vectors are then filled in from outside. */
  reserve(slots: number): Promise<void>;
  /** Takes the norms of vectors that were filled in from outside: before the replicas are told of their slots. */
  measure(slots: Int32Array): void;
  /** Takes an item whose vector stands in its slot already. @param isIndexed whether the replicas hold the slot */
  adopt(item: CatalogueItem, isIndexed: boolean): void;
  /**
   * After the last adoption, or when there will be none: the replicas get what they lack and lose what they should not
   * hold, and slots that no item has taken can be used again.
   * @param indexed what the replicas hold
   * @param nodes what has a node in their graphs, live or dead
   */
  finishAdoption(indexed: Int32Array, nodes: Int32Array): Promise<void>;
  /** Ends the watch over items that come and go with time. */
  close(): void;
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

/** When the item begins or ceases to be servable by the time alone; null: never. */
function nextChange({ fields: { hidden, available_from: from, expires_at: until } }: CatalogueItem, now: number): number | null {
  if (hidden || (until !== null && until <= now)) return null;
  return from !== null && from > now ? from : until;
}

/** What the replicas have to do. */
interface Change {
  add: number[];
  remove: number[];
}
const noChange = (): Change => ({ add: [], remove: [] });

export function createCatalogue(
  dim: number,
  normalised: boolean,
  pool: Pick<RecommenderPool, 'grow' | 'update'>,
  rows: ItemRows,
  clock: Clock,
): Catalogue {
  const table = createVectorTable(dim);
  /** By the row of the item's id. */
  const byRow: (CatalogueItem | undefined)[] = [];
  let size = 0;
  const find = (itemId: string): CatalogueItem | undefined => byRow[rows.find(itemId) ?? -1];
  const keep = (item: CatalogueItem): void => {
    while (byRow.length <= item.row) byRow.push(undefined); // no holes: an array with holes is a slow one
    if (byRow[item.row] === undefined) size++;
    byRow[item.row] = item;
  };
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
  /** What the replicas hold once they have done what they were told so far. */
  const indexed = createSlotSet();
  /** Slots that the graph has a node for. */
  const nodes = createSlotSet();
  const findable = (slot: number): CatalogueItem | undefined => (indexed.has(slot) ? bySlot[slot] : undefined);
  const filters = createSlotFilters({ capacity: () => table.capacity, slots: () => bySlot.length, atSlot: findable });

  /** Puts the item into the index when it can be served, and out of it when not. */
  const review = (item: CatalogueItem, change: Change): void => {
    const { slot, fields } = item;
    const now = clock.now();
    due.set(fields.item_id, slot === null ? null : nextChange(item, now));
    if (slot === null) return;
    if (isServable(item, now)) {
      nodes.add(slot);
      if (indexed.add(slot)) change.add.push(slot);
    } else if (indexed.delete(slot)) change.remove.push(slot);
    filters.changed(slot, findable(slot));
  };
  const vacate = (slot: number): void => {
    bySlot[slot] = undefined;
    table.free(slot);
    indexed.delete(slot);
    filters.changed(slot, undefined);
  };
  /** Posted in the turn in which it was decided, so that the replicas hear of changes in their order. */
  const tell = async (change: Change): Promise<void> => {
    if (change.add.length + change.remove.length > 0) await Promise.all([growing, pool.update(change)]);
  };
  const due = createSchedule(clock, async (itemIds) => {
    const change = noChange();
    for (const itemId of itemIds) {
      const item = find(itemId);
      if (item !== undefined) review(item, change);
    }
    await tell(change).catch(() => undefined); // a replica that is gone is reported by its thread
  });
  let adoption = noChange();
  const pointTo = (row: number, slot: number): void => {
    if (row >= slotsOfRows.length) {
      const grown = new Int32Array(2 ** Math.ceil(Math.log2(row + 1))).fill(-1);
      grown.set(slotsOfRows);
      slotsOfRows = grown;
    }
    slotsOfRows[row] = slot;
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
      return size;
    },
    get: find,
    atSlot: (slot) => bySlot[slot],
    slotOfRow: (row) => slotsOfRows[row] ?? -1,
    rows,
    *items() {
      for (const item of byRow) if (item !== undefined) yield item;
    },
    publish: async (entries) => {
      const change = noChange();
      const left: number[] = [];
      for (const { fields, created, vector, idShare } of entries) {
        const old = find(fields.item_id);
        const slot = vector === null ? null : takeSlot();
        const row = old?.row ?? rows.rowOf(fields.item_id);
        const item: CatalogueItem = { fields, created, slot, idShare, row };
        pointTo(row, slot ?? -1);
        if (vector !== null && slot !== null) {
          table.write(slot, vector, normalised);
          bySlot[slot] = item;
        }
        if (old !== undefined && old.slot !== null) {
          vacate(old.slot);
          left.push(old.slot);
        }
        if (old !== undefined) leave(old);
        enter(item);
        keep(item);
        review(item, change);
      }
      // every slot that was left is named, indexed or not: the answer says that no search is using it any more
      await tell({ ...change, remove: [...change.remove, ...left] });
      freeSlots.push(...left);
    },
    describe: async (fields) => {
      const item = find(fields.item_id);
      if (item === undefined) return;
      leave(item);
      item.fields = fields;
      enter(item);
      const change = noChange();
      review(item, change);
      await tell(change);
    },
    remove: async (itemId) => {
      const item = find(itemId);
      if (item === undefined) return;
      byRow[item.row] = undefined;
      size--;
      leave(item);
      due.set(itemId, null);
      const { slot } = item;
      if (slot === null) return;
      pointTo(item.row, -1);
      vacate(slot);
      await tell({ add: [], remove: [slot] });
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
    get indexed() {
      return indexed.size;
    },
    get deadNodes() {
      return nodes.size - indexed.size;
    },
    chunks,
    reserve: async (slots) => {
      while (table.capacity < slots) grow();
      while (bySlot.length < slots) bySlot.push(undefined);
      await growing;
    },
    measure: (slots) => {
      for (const slot of slots) table.measure(slot, normalised);
    },
    adopt: (item, isIndexed) => {
      pointTo(item.row, item.slot ?? -1);
      keep(item);
      enter(item);
      if (item.slot === null) return;
      bySlot[item.slot] = item;
      table.markLive(item.slot, normalised);
      if (isIndexed) indexed.add(item.slot);
      review(item, adoption);
    },
    finishAdoption: async (held, known) => {
      const change = adoption;
      adoption = noChange();
      for (const slot of known) nodes.add(slot);
      for (const slot of held) if (bySlot[slot] === undefined) change.remove.push(slot);
      await tell(change);
      freeSlots.length = 0;
      bySlot.forEach((item, slot) => {
        if (item === undefined) freeSlots.push(slot);
      });
    },
    close: () => due.close(),
  };
}
