import type { AnnIndex, Neighbours } from './ann-index.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

/** Scores every slot: the truth that HNSW is measured against, and the better choice when few slots are allowed. */
export function createExactIndex(table: VectorTable): AnnIndex {
  const live = createSlotSet();
  let slots: Int32Array | null = null; // listed again after a change
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

/** The `count` best of these slots by a bounded min-heap; equal similarities are ordered by slot, so that answers repeat. */
export function nearest(table: VectorTable, slots: Iterable<number>, query: Float32Array, count: number): Neighbours {
  const heap: { slot: number; similarity: number }[] = [];
  const worse = (a: { slot: number; similarity: number }, b: { slot: number; similarity: number }): boolean =>
    a.similarity < b.similarity || (a.similarity === b.similarity && a.slot > b.slot);
  const sink = (start: number): void => {
    let at = start;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const candidate = heap[child];
        if (candidate !== undefined && worse(candidate, heap[least] as (typeof heap)[0])) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least] as (typeof heap)[0], heap[at] as (typeof heap)[0]];
      at = least;
    }
  };
  for (const slot of slots) {
    const similarity = table.similarity(query, slot);
    if (heap.length < count) {
      heap.push({ slot, similarity });
      if (heap.length === count) for (let at = count >> 1; at >= 0; at--) sink(at);
      continue;
    }
    const last = heap[0];
    if (last === undefined || similarity < last.similarity || (similarity === last.similarity && slot > last.slot)) continue;
    heap[0] = { slot, similarity };
    sink(0);
  }
  heap.sort((a, b) => (worse(a, b) ? 1 : -1));
  return { slots: Int32Array.from(heap, ({ slot }) => slot), similarities: Float32Array.from(heap, ({ similarity }) => similarity) };
}
