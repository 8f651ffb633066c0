import type { Neighbours } from './ann-index.js';

/** The first `count` neighbours whose slots pass, in their order; fewer where fewer pass. */
export function firstPassing({ slots, similarities }: Neighbours, count: number, passes: (slot: number) => boolean): Neighbours {
  const ranks: number[] = [];
  for (let rank = 0; rank < slots.length && ranks.length < count; rank++) if (passes(slots[rank] as number)) ranks.push(rank); // rank < length
  return {
    slots: Int32Array.from(ranks, (rank) => slots[rank] as number),
    similarities: Float32Array.from(ranks, (rank) => similarities[rank] as number),
  };
}
