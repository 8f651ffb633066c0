import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CapCounter } from '../domain/caps.js';
import { dotRows } from '../index/dot.js';
import type { RankedItem } from './source.js';

/** Similarities computed in one turn of the event loop: about a millisecond at 64 dimensions. */
const SLICE = 16_384;

/**
 * Maximal marginal relevance (Carbonell and Goldstein, 1998): each next item has the greatest
 * (1 - diversity) · relevance - diversity · (largest cosine with a chosen item). Relevance is the score, scaled to 0 … 1 over the
 * candidates. The cosine of an item without a vector is 0.
 * @param candidates best first
 * @param caps counts the chosen items; null: nothing is capped
 * @param vectors [candidates, d]
 */
export async function chooseDiverse(
  candidates: readonly RankedItem[],
  k: number,
  diversity: number,
  caps: CapCounter | null,
  vectors: Float32Array,
): Promise<RankedItem[]> {
  const highest = candidates[0]?.rankScore ?? 0;
  const lowest = candidates.at(-1)?.rankScore ?? 0;
  const range = highest - lowest || 1;
  const dim = vectors.length / Math.max(candidates.length, 1);
  const units = unitRows(vectors, dim);
  const nearest = new Float32Array(candidates.length); // largest cosine with a chosen item, or 0
  const left = candidates.map((_, position) => position); // best first
  const chosen: RankedItem[] = [];
  let last = -1;
  let compared = 0;
  while (chosen.length < k) {
    let best = -1;
    let bestValue = -Infinity;
    for (let n = 0; n < left.length; n++) {
      const position = left[n] as number; // n < length
      const candidate = candidates[position] as RankedItem; // a position of it
      if (last >= 0) nearest[position] = Math.max(nearest[position] as number, dotRows(units, last * dim, units, position * dim, dim)); // one entry a candidate
      if (caps !== null && !caps.admits(candidate.item)) continue;
      const value = ((1 - diversity) * (candidate.rankScore - lowest)) / range - diversity * (nearest[position] as number);
      if (value <= bestValue) continue;
      best = n;
      bestValue = value;
    }
    const [position] = best === -1 ? [] : left.splice(best, 1);
    if (position === undefined) break;
    const candidate = candidates[position] as RankedItem; // a position of it
    caps?.count(candidate.item);
    chosen.push(candidate);
    last = position;
    compared += left.length;
    if (compared < SLICE) continue;
    compared = 0;
    await nextTurn();
  }
  return chosen;
}

/** [rows, d], each row scaled to length 1; a row of zeros stays. */
function unitRows(rows: Float32Array, dim: number): Float32Array {
  const units = new Float32Array(rows.length);
  for (let first = 0; first < rows.length; first += dim) {
    const scale = 1 / Math.max(Math.sqrt(dotRows(rows, first, rows, first, dim)), 1e-12);
    for (let i = first; i < first + dim; i++) units[i] = (rows[i] as number) * scale; // i < length
  }
  return units;
}
