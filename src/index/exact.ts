import type { AnnIndex, Neighbours } from './ann-index.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

/** Scores every slot. It is the ground truth for the recall of HNSW, and faster than HNSW when few slots are allowed. */
export function createExactIndex(table: VectorTable): AnnIndex {
  const live = createSlotSet();
  /** Of `live`; null after a change. */
  let slots: Int32Array | null = null;
  return {
    get size() {
      return live.size;
    },
    add: (slot) => {
      if (live.add(slot)) slots = null;
    },
    remove: (slot) => {
      if (live.delete(slot)) slots = null;
    },
    search: (query, count) => nearest(table, (slots ??= live.slots()), query, count),
  };
}

/**
 * The `count` best of these slots; equal similarities are ordered by slot. The heap is two parallel arrays, which are the result too:
 * an exact search of 20,000 slots makes no object but these.
 */
export function nearest(table: VectorTable, slots: ArrayLike<number>, query: Float32Array, count: number): Neighbours {
  const size = Math.min(count, slots.length);
  const best = new Int32Array(size);
  const similarities = new Float32Array(size);
  if (size === 0) return { slots: best, similarities };
  /** Whether entry `a` of the heap ranks after entry `b`; the last one is on top of the heap. */
  const isAfter = (a: number, b: number): boolean => {
    const difference = (similarities[a] as number) - (similarities[b] as number); // both within the heap
    return difference < 0 || (difference === 0 && (best[a] as number) > (best[b] as number));
  };
  const swap = (a: number, b: number): void => {
    const slot = best[a] as number; // both within the heap
    const similarity = similarities[a] as number;
    best[a] = best[b] as number;
    similarities[a] = similarities[b] as number;
    best[b] = slot;
    similarities[b] = similarity;
  };
  const sink = (start: number, end: number): void => {
    for (let parent = start; ;) {
      let last = parent;
      const left = 2 * parent + 1;
      if (left < end && isAfter(left, last)) last = left;
      if (left + 1 < end && isAfter(left + 1, last)) last = left + 1;
      if (last === parent) return;
      swap(parent, last);
      parent = last;
    }
  };
  for (let n = 0; n < size; n++) {
    best[n] = slots[n] as number; // n < length
    similarities[n] = table.similarity(query, best[n] as number);
  }
  for (let parent = (size >> 1) - 1; parent >= 0; parent--) sink(parent, size);
  for (let n = size; n < slots.length; n++) {
    const slot = slots[n] as number; // n < length
    const similarity = Math.fround(table.similarity(query, slot)); // as the kept ones are rounded
    const worst = similarities[0] as number;
    if (similarity < worst || (similarity === worst && slot > (best[0] as number))) continue;
    best[0] = slot;
    similarities[0] = similarity;
    sink(0, size);
  }
  for (let end = size - 1; end > 0; end--) {
    swap(0, end);
    sink(0, end);
  }
  return { slots: best, similarities };
}
