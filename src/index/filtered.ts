import type { AnnIndex, Neighbours } from './ann-index.js';
import { nearest } from './exact.js';
import { firstPassing } from './neighbours.js';
import type { VectorTable } from './vector-table.js';

/** Slots that may be returned, one bit each. Bits of free slots may be set too. */
export interface AllowedSlots {
  words: Uint32Array;
  /** Number of set bits. */
  count: number;
}

/** Nanoseconds, measured on one core at d = 64. Only their ratios matter: they weigh the two ways against each other. */
const SCAN_SLOT_NS = 25;
const SCAN_VALUE_NS = 0.6;
const GRAPH_CANDIDATE_NS = 1000;
/** Over-fetch beyond the expected number, so that one search is mostly enough. */
const OVER_FETCH = 1.3;

const isAllowed = ({ words }: AllowedSlots, slot: number): boolean => (((words[slot >>> 5] ?? 0) >>> (slot & 31)) & 1) === 1;

function slotsOf({ words, count }: AllowedSlots, isLive: (slot: number) => boolean): Int32Array {
  const slots = new Int32Array(count + 32); // more than `count`, because the main thread may set bits while this one reads
  let found = 0;
  for (let word = 0; word < words.length && found < slots.length; word++) {
    for (let bits = words[word] as number; bits !== 0 && found < slots.length; bits &= bits - 1) {
      const slot = word * 32 + (31 - Math.clz32(bits & -bits));
      if (isLive(slot)) slots[found++] = slot;
    }
  }
  return slots.subarray(0, found);
}

/**
 * The nearest allowed slots: where many are allowed by the graph with over-fetch, where few are allowed by scoring all of them. When the
 * over-fetch was not enough, the allowed slots are scored too, so that the result is complete at any selectivity.
 * @param ef candidates that an unfiltered search of the graph looks at
 */
export function searchAllowed(
  graph: AnnIndex,
  table: VectorTable,
  allowed: AllowedSlots,
  query: Float32Array,
  count: number,
  ef: number,
): Neighbours {
  const fetch = Math.ceil((OVER_FETCH * count * graph.size) / Math.max(allowed.count, 1));
  const scanNs = allowed.count * (SCAN_SLOT_NS + SCAN_VALUE_NS * table.dim);
  const graphNs = Math.max(ef, fetch) * GRAPH_CANDIDATE_NS;
  if (graphNs < scanNs) {
    const found = firstPassing(graph.search(query, fetch), count, (slot) => isAllowed(allowed, slot));
    if (found.slots.length === count) return found;
  }
  return nearest(
    table,
    slotsOf(allowed, (slot) => table.isLive(slot)),
    query,
    count,
  );
}
