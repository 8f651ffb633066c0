import type { AnnIndex, Neighbours } from './ann-index.js';
import type { VectorTable } from './vector-table.js';

/** Scores every slot: the truth that HNSW is measured against, and the better choice when few slots are allowed. */
export function createExactIndex(table: VectorTable): AnnIndex {
  const slots = new Set<number>();
  return {
    get size() {
      return slots.size;
    },
    add: (slot) => void slots.add(slot),
    remove: (slot) => void slots.delete(slot),
    search: (query, count) => nearest(table, slots, query, count),
  };
}

/** The `count` best slots by a bounded min-heap; equal similarities are ordered by slot, so that answers repeat. */
function nearest(table: VectorTable, slots: Iterable<number>, query: Float32Array, count: number): Neighbours {
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
    const entry = { slot, similarity: table.similarity(query, slot) };
    if (heap.length < count) {
      heap.push(entry);
      if (heap.length === count) for (let at = count >> 1; at >= 0; at--) sink(at);
    } else if (count > 0 && worse(heap[0] as (typeof heap)[0], entry)) {
      heap[0] = entry;
      sink(0);
    }
  }
  heap.sort((a, b) => (worse(a, b) ? 1 : -1));
  return { slots: Int32Array.from(heap, ({ slot }) => slot), similarities: Float32Array.from(heap, ({ similarity }) => similarity) };
}
