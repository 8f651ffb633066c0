import { createVectorTable, makeChunk, type VectorChunk, type VectorTable } from '../../index/vector-table.js';
import type { EmbeddedItem } from './embedded-item.js';

const FIRST_CAPACITY = 1024;
const NONE = -1;

/**
 * Rows of the vector table and whose they are. A changed vector gets a new slot: searches on their way keep the old one, which
 * is used again only when every replica of the index has let go of it.
 */
export interface Slots {
  readonly table: VectorTable;
  /** Slots that were ever given out. */
  readonly count: number;
  /** Slots that wait to be used again. */
  readonly free: number;
  readonly chunks: readonly VectorChunk[];
  /** The item whose vector stands here now. */
  itemAt(slot: number): EmbeddedItem | undefined;
  /** Its index; -1: nobody's. */
  indexAt(slot: number): number;
  /** Where the vector of the item with this index stands; -1: nowhere. */
  slotOf(index: number): number;
  /** A slot for a vector that is written next. */
  take(): number;
  write(slot: number, vector: Float32Array, item: EmbeddedItem): void;
  /** The item with this index has its vector in this slot, or none. */
  setSlot(index: number, slot: number | null): void;
  /** The slot is nobody's from here on, but searches may still be using it. */
  releaseSlot(slot: number): void;
  /** No search uses these slots any more. */
  reuse(slots: readonly number[]): void;
  /** Resolves when every replica knows the chunks that were made so far. */
  grown(): Promise<void>;

  /** Makes room for this many slots, whose vectors are then filled in from outside. */
  reserve(count: number): Promise<void>;
  /** Takes the norms of vectors that were filled in from outside: before the replicas are told of their slots. */
  measure(slots: Int32Array): void;
  /** The item's vector stands in its slot already. */
  restore(slot: number, item: EmbeddedItem): void;
  /** Slots that no item has taken can be used again. */
  finishRestore(): void;
}

/**
 * @param normalised whether the similarity is cosine
 * @param grow hands a new chunk to every replica; posted before any update that needs it
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
    take: () => {
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
