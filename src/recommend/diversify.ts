import { setImmediate as nextTurn } from 'node:timers/promises';
import type { VectorTable } from '../index/vector-table.js';
import type { Caps } from './arrange.js';
import type { Candidate } from './request.js';

/** Similarities between two turns of the event loop: about a millisecond at 64 dimensions. */
const SLICE = 16_384;

/**
 * Maximal marginal relevance (Carbonell and Goldstein, 1998): each next item has the greatest
 * (1 - diversity) · relevance - diversity · (largest cosine with what is chosen), relevance being the score scaled to
 * 0 … 1 over the candidates. Items without a vector count as unlike everything.
 */
export async function chooseDiverse(
  candidates: readonly Candidate[],
  k: number,
  diversity: number,
  caps: Caps,
  table: VectorTable,
): Promise<Candidate[]> {
  const highest = candidates[0]?.rankScore ?? 0; // they come best first
  const lowest = candidates.at(-1)?.rankScore ?? 0;
  const range = highest - lowest || 1;
  const units = unitVectors(candidates, table);
  const nearest = new Float32Array(candidates.length); // largest cosine with a chosen item, or 0
  const left = candidates.map((_, position) => position); // best first
  const chosen: Candidate[] = [];
  let last = -1;
  let compared = 0;
  while (chosen.length < k) {
    let best = -1;
    let bestValue = -Infinity;
    for (let n = 0; n < left.length; n++) {
      const position = left[n] as number; // n < length
      const candidate = candidates[position] as Candidate; // a position of it
      if (last >= 0) nearest[position] = Math.max(nearest[position] as number, cosine(units, table.dim, last, position)); // one entry a candidate
      if (caps !== null && !caps.admits(candidate.item)) continue;
      const value = ((1 - diversity) * (candidate.rankScore - lowest)) / range - diversity * (nearest[position] as number);
      if (value <= bestValue) continue;
      best = n;
      bestValue = value;
    }
    const [position] = best === -1 ? [] : left.splice(best, 1);
    if (position === undefined) break;
    const candidate = candidates[position] as Candidate; // a position of it
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

/** [candidates, d]; zeros for an item without a vector. */
function unitVectors(candidates: readonly Candidate[], table: VectorTable): Float32Array {
  const { dim } = table;
  const units = new Float32Array(candidates.length * dim);
  for (const [row, { item }] of candidates.entries()) {
    if (item.slot === null) continue;
    const vector = table.vector(item.slot);
    let squares = 0;
    for (const value of vector) squares += value * value;
    const scale = 1 / Math.max(Math.sqrt(squares), 1e-12);
    for (let i = 0; i < dim; i++) units[row * dim + i] = (vector[i] as number) * scale; // i < d
  }
  return units;
}

/** Of two rows. */
function cosine(units: Float32Array, dim: number, one: number, other: number): number {
  // four sums, because each addition of one would wait for the one before; all indices are within the two rows
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let first = one * dim;
  let second = other * dim;
  const end = first + dim;
  for (; first + 3 < end; first += 4, second += 4) {
    a += (units[first] as number) * (units[second] as number);
    b += (units[first + 1] as number) * (units[second + 1] as number);
    c += (units[first + 2] as number) * (units[second + 2] as number);
    d += (units[first + 3] as number) * (units[second + 3] as number);
  }
  for (; first < end; first++, second++) a += (units[first] as number) * (units[second] as number);
  return a + b + c + d;
}
