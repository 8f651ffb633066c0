import { createVectorTable, makeChunk, type VectorChunk, type VectorTable } from '../../index/vector-table.js';
import type { EmbeddedItem } from './embedded-item.js';

const FIRST_CAPACITY = 1024;
const NONE = -1;

/**
 * Slots are the rows of the vector table. A changed vector gets a new slot, because searches under way still use the old one. The old
 * slot is reused when every replica of the index has confirmed its removal.
 */
export interface Slots {
  readonly table: VectorTable;
  /** Number of slots that were ever used. */
  readonly count: number;
  /** Number of slots that can be reused. */
  readonly free: number;
  readonly chunks: readonly VectorChunk[];
  /** The item whose vector is in this slot; undefined: none. */
  itemAt(slot: number): EmbeddedItem | undefined;
  /** Index of the item in this slot; -1: none. */
  indexAt(slot: number): number;
  /** Slot of the item with this index; -1: none. */
  slotOf(index: number): number;
  /** Allocates a slot, to be written next. */
  allocate(): number;
  write(slot: number, vector: Float32Array, item: EmbeddedItem): void;
  /** The slot's item with other fields. */
  replaceItem(slot: number, item: EmbeddedItem): void;
  /** Sets the slot of the item with this index; null: none. */
  setSlot(index: number, slot: number | null): void;
  /** Takes the item out of the slot. Searches may still use it, so it is not free yet. */
  releaseSlot(slot: number): void;
  /** Makes released slots free: no search uses them any more. */
  reuse(slots: readonly number[]): void;
  /** Resolves when every replica has attached the present chunks. */
  grown(): Promise<void>;

  /** Reserves the first `count` slots, whose vectors the caller writes into the chunks. */
  reserve(count: number): Promise<void>;
  /** Computes the norms of vectors that the caller has written. Call it before the replicas get these slots. */
  measure(slots: Int32Array): void;
  /** Sets the item of a slot whose vector is already there. */
  restore(slot: number, item: EmbeddedItem): void;
  /** Makes all slots without an item free. */
  finishRestore(): void;
}

/**
 * @param normalised whether the similarity is cosine
 * @param grow posts a new chunk to every replica, before any update that needs it
 */
export function createSlots(dim: number, normalised: boolean, grow: (chunk: VectorChunk) => Promise<void>): Slots {
  const table = createVectorTable(dim);
  const chunks: VectorChunk[] = [];
  const items: (EmbeddedItem | undefined)[] = [];
  const free: number[] = [];
  let indexes = new Int32Array(FIRST_CAPACITY).fill(NONE);
  let slots = new Int32Array(FIRST_CAPACITY).fill(NONE);
  let growing: Promise<void> = Promise.resolve();

  const addChunk = (): void => {
    const chunk = makeChunk(dim);
    chunks.push(chunk);
    table.attach(chunk);
    growing = grow(chunk);
  };
  const own = (slot: number, item: EmbeddedItem | undefined): void => {
    items[slot] = item;
    indexes = withRoom(indexes, slot);
    indexes[slot] = item?.index ?? NONE;
  };
  const setSlot = (index: number, slot: number | null): void => {
    slots = withRoom(slots, index);
    slots[index] = slot ?? NONE;
  };

  return {
    table,
    get count() {
      return items.length;
    },
    get free() {
      return free.length;
    },
    chunks,
    itemAt: (slot) => items[slot],
    indexAt: (slot) => indexes[slot] ?? NONE,
    slotOf: (index) => slots[index] ?? NONE,
    allocate: () => {
      const reused = free.pop();
      if (reused !== undefined) return reused;
      const slot = items.length;
      items.push(undefined);
      if (slot >= table.capacity) addChunk();
      return slot;
    },
    write: (slot, vector, item) => {
      table.write(slot, vector, normalised);
      own(slot, item);
    },
    replaceItem: own,
    setSlot,
    releaseSlot: (slot) => {
      own(slot, undefined);
      table.free(slot);
    },
    reuse: (left) => void free.push(...left),
    grown: () => growing,
    reserve: async (count) => {
      while (table.capacity < count) addChunk();
      while (items.length < count) items.push(undefined);
      await growing;
    },
    measure: (filled) => {
      for (const slot of filled) table.measure(slot, normalised);
    },
    restore: (slot, item) => {
      own(slot, item);
      table.markLive(slot, normalised);
    },
    finishRestore: () => {
      free.length = 0;
      for (const [slot, item] of items.entries()) if (item === undefined) free.push(slot);
    },
  };
}

function withRoom(values: Int32Array<ArrayBuffer>, position: number): Int32Array<ArrayBuffer> {
  if (position < values.length) return values;
  const grown = new Int32Array(2 ** Math.ceil(Math.log2(position + 1))).fill(NONE);
  grown.set(values);
  return grown;
}
