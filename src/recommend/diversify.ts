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
  const nearest = new Float32Array(candidates.length).fill(-1); // largest cosine with a chosen item
  const isTaken = new Uint8Array(candidates.length);
  const chosen: Candidate[] = [];
  let compared = 0;
  while (chosen.length < k) {
    let best = -1;
    let bestValue = -Infinity;
    for (const [position, candidate] of candidates.entries()) {
      if (isTaken[position] === 1 || (caps !== null && !caps.admits(candidate.item))) continue;
      const relevance = (candidate.rankScore - lowest) / range;
      const likeness = chosen.length === 0 ? 0 : Math.max(0, nearest[position] as number); // one entry a candidate
      const value = (1 - diversity) * relevance - diversity * likeness;
      if (value <= bestValue) continue;
      best = position;
      bestValue = value;
    }
    const candidate = candidates[best];
    if (candidate === undefined) break;
    isTaken[best] = 1;
    caps?.count(candidate.item);
    chosen.push(candidate);
    if (candidate.item.slot !== null) compareAll(units, table.dim, best, nearest);
    compared += candidates.length;
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

/** Raises what each candidate's largest cosine is by that with the one in this row. */
function compareAll(units: Float32Array, dim: number, row: number, nearest: Float32Array): void {
  const chosen = row * dim;
  for (let other = 0, first = 0; other < nearest.length; other++, first += dim) {
    // four sums, because each addition of one would wait for the one before; all indices are within both rows
    let [a, b, c, d] = [0, 0, 0, 0];
    let i = 0;
    for (; i + 3 < dim; i += 4) {
      a += (units[chosen + i] as number) * (units[first + i] as number);
      b += (units[chosen + i + 1] as number) * (units[first + i + 1] as number);
      c += (units[chosen + i + 2] as number) * (units[first + i + 2] as number);
      d += (units[chosen + i + 3] as number) * (units[first + i + 3] as number);
    }
    for (; i < dim; i++) a += (units[chosen + i] as number) * (units[first + i] as number);
    nearest[other] = Math.max(nearest[other] as number, a + b + c + d);
  }
}
