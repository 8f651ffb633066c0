import type { VectorTable } from '../index/vector-table.js';
import type { CatalogueItem } from '../catalog/catalogue.js';
import type { Candidate, Cap, ShortReason } from './request.js';

export interface Arrangement {
  k: number;
  minScore: number | null;
  caps: readonly Cap[];
  diversity: number;
}

export interface Arranged {
  items: Candidate[];
  /** What kept candidates out, when anything did. */
  cut: Extract<ShortReason, 'caps' | 'min_score'> | null;
}

/** Candidates that diversity chooses from, times k and at most; k × candidates similarities are computed. */
const POOL_FACTOR = 5;
const MAX_POOL = 1000;

const valueOf = ({ fields }: CatalogueItem, field: string): unknown =>
  field === 'author_id' ? fields.author_id : (fields.attributes[field.replace(/^attributes\./, '')] ?? null);

/** Counts what is chosen, and says whether one more would be too many. */
function createCaps(caps: readonly Cap[]): { admits: (item: CatalogueItem) => boolean; count: (item: CatalogueItem) => void } {
  const counted = caps.map(({ field, max }) => ({ field, max, counts: new Map<unknown, number>() }));
  const keysOf = (item: CatalogueItem, field: string): unknown[] => {
    const value = valueOf(item, field);
    return value === null ? [] : Array.isArray(value) ? value : [value];
  };
  return {
    admits: (item) => counted.every(({ field, max, counts }) => keysOf(item, field).every((key) => (counts.get(key) ?? 0) < max)),
    count: (item) => {
      for (const { field, counts } of counted) for (const key of keysOf(item, field)) counts.set(key, (counts.get(key) ?? 0) + 1);
    },
  };
}

/** Chooses up to k candidates, which come best first, within the caps; with diversity by maximal marginal relevance. */
export function arrange(candidates: readonly Candidate[], wanted: Arrangement, table: VectorTable): Arranged {
  const { k, minScore, caps, diversity } = wanted;
  const scored = minScore === null ? candidates : candidates.filter(({ score }) => score >= minScore);
  const limits = createCaps(caps);
  const items = diversity > 0 ? chooseDiverse(scored, k, diversity, limits, table) : chooseBest(scored, k, limits);
  const cut = items.length >= Math.min(k, scored.length) ? (scored.length < candidates.length ? 'min_score' : null) : 'caps';
  return { items, cut };
}

type Caps = ReturnType<typeof createCaps>;

function chooseBest(candidates: readonly Candidate[], k: number, caps: Caps): Candidate[] {
  const chosen: Candidate[] = [];
  for (const candidate of candidates) {
    if (chosen.length === k) break;
    if (!caps.admits(candidate.item)) continue;
    caps.count(candidate.item);
    chosen.push(candidate);
  }
  return chosen;
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein, 1998): each next item has the greatest
 * (1 - diversity) · relevance - diversity · (largest cosine with what is chosen), relevance being the score scaled to
 * 0 … 1 over the candidates. Items without a vector count as unlike everything.
 */
function chooseDiverse(candidates: readonly Candidate[], k: number, diversity: number, caps: Caps, table: VectorTable): Candidate[] {
  const pool = candidates.slice(0, Math.max(k, Math.min(k * POOL_FACTOR, MAX_POOL)));
  const scores = pool.map(({ rankScore }) => rankScore);
  const lowest = Math.min(...scores);
  const range = Math.max(...scores) - lowest || 1;
  const units = pool.map(({ item }) => (item.slot === null ? null : unitVector(table, item.slot)));
  const nearest = new Float32Array(pool.length).fill(-1); // largest cosine with a chosen item
  const isTaken = new Uint8Array(pool.length);
  const chosen: Candidate[] = [];
  while (chosen.length < k) {
    let best = -1;
    let bestValue = -Infinity;
    for (const [position, candidate] of pool.entries()) {
      if (isTaken[position] === 1 || !caps.admits(candidate.item)) continue;
      const relevance = (candidate.rankScore - lowest) / range;
      const likeness = chosen.length === 0 ? 0 : Math.max(0, nearest[position] as number); // one entry a candidate
      const value = (1 - diversity) * relevance - diversity * likeness;
      if (value <= bestValue) continue;
      best = position;
      bestValue = value;
    }
    const candidate = pool[best];
    if (candidate === undefined) break;
    isTaken[best] = 1;
    caps.count(candidate.item);
    if (best !== chosen.length) candidate.movedBy.push('diversity');
    chosen.push(candidate);
    const unit = units[best];
    if (unit == null) continue;
    for (const [position, other] of units.entries()) {
      if (isTaken[position] === 1 || other === null) continue;
      nearest[position] = Math.max(nearest[position] as number, dot(unit, other)); // one entry a candidate
    }
  }
  return chosen;
}

function unitVector(table: VectorTable, slot: number): Float32Array {
  const vector = table.vector(slot).slice();
  const norm = Math.max(Math.sqrt(dot(vector, vector)), 1e-12);
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) / norm; // i < d
  return vector;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number); // both have d values
  return sum;
}
