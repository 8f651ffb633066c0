import type { AnnIndex, Neighbours } from './ann-index.js';
import { createSlotSet } from './slot-set.js';
import { createTop } from './top.js';
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

interface Scored {
  slot: number;
  similarity: number;
}

/** Equal similarities are ordered by slot. */
const isWorse = (a: Scored, b: Scored): boolean => a.similarity < b.similarity || (a.similarity === b.similarity && a.slot > b.slot);

/** The `count` best of these slots. */
export function nearest(table: VectorTable, slots: ArrayLike<number>, query: Float32Array, count: number): Neighbours {
  const top = createTop(count, isWorse);
  for (let n = 0; n < slots.length; n++) {
    const slot = slots[n] as number; // n < length
    const similarity = table.similarity(query, slot);
    if (!top.isFull || similarity >= (top.worst?.similarity ?? -Infinity)) top.offer({ slot, similarity });
  }
  return neighboursOf(top.take());
}

export const neighboursOf = (scored: readonly Scored[]): Neighbours => ({
  slots: Int32Array.from(scored, ({ slot }) => slot),
  similarities: Float32Array.from(scored, ({ similarity }) => similarity),
});
