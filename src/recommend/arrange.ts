import { setImmediate as nextTurn } from 'node:timers/promises';
import { valuesOf } from '../domain/attributes.js';
import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { VectorTable } from '../index/vector-table.js';
import type { Boost } from './boost.js';
import { chooseDiverse } from './diversify.js';
import type { Candidate, Cap, RecommendRequest, ShortReason } from './request.js';

/** Allowed candidates of a search or a ranking, best first. */
export interface Walk {
  /** Undefined: there is none left here. */
  next(): Candidate | undefined;
  /** What is still to come, here or in a wider search, scores no more than this; -Infinity: there is nothing else. */
  ceiling(): number;
}

export type Arrangement = Pick<RecommendRequest, 'k' | 'minScore' | 'caps' | 'diversity'>;

export interface Arranged {
  items: Candidate[];
  /** What kept candidates out, when anything did. */
  cut: Extract<ShortReason, 'caps' | 'min_score'> | null;
  /** Counts the items. */
  caps: Caps;
  /** The k-th best that the caps let through is ordered by this; -Infinity when there is none. */
  floor: number;
}

/** Boosts and diversity choose from so many candidates, times k, and at least; more when these do not settle the answer. */
const POOL_FACTOR = 5;
const POOL_MIN = 100;
const POOL_GROWTH = 4;
/** Diversity compares each chosen item with so many at most. */
const MAX_CHOICE = 1000;
/** Boosts act among so many best at most: whatever scores less keeps its place behind them. */
export const MAX_POOL = 10_000;
/** Candidates boosted between two turns of the event loop: about a millisecond. */
const SLICE = 2048;

/** Counts what is chosen, and says whether one more would be too many; null: nothing is capped. */
export type Caps = { admits: (item: CatalogueItem) => boolean; count: (item: CatalogueItem) => void } | null;

/** @param factor each maximum times this */
export function createCaps(caps: readonly Cap[], factor = 1): Caps {
  if (caps.length === 0) return null;
  const counted = caps.map(({ field, max }) => ({ field, max: max * factor, counts: new Map<unknown, number>() }));
  return {
    admits: (item) => counted.every(({ field, max, counts }) => valuesOf(item, field).every((value) => (counts.get(value) ?? 0) < max)),
    count: (item) => {
      for (const { field, counts } of counted) for (const value of valuesOf(item, field)) counts.set(value, (counts.get(value) ?? 0) + 1);
    },
  };
}

/** Candidates to search for at first: stages that change the order need more than k. */
export function depthOf({ k, diversity, caps }: Arrangement, boost: Boost): number {
  if (diversity > 0 || boost !== null) return Math.max(k * POOL_FACTOR, POOL_MIN);
  return caps.length > 0 ? 2 * k : k;
}

/**
 * Up to k candidates within the caps: by score, by score and boosts, or with diversity.
 * @returns at once unless a pool must be gathered: the plain request shall not wait for a turn
 */
export function arrange(walk: Walk, wanted: Arrangement, boost: Boost, table: VectorTable): Arranged | Promise<Arranged> {
  const arranged: Arranged = { items: [], cut: null, caps: createCaps(wanted.caps), floor: -Infinity };
  if (boost !== null || wanted.diversity > 0) return arrangePool(arranged, walk, wanted, boost, table);
  fill(arranged, walk, wanted);
  return arranged;
}

/** Whether nothing that the walk has left out can change what was chosen from it. */
export function isSettled({ items, floor }: Arranged, walk: Walk, { k, minScore }: Arrangement, boost: Boost): boolean {
  const ceiling = walk.ceiling();
  if (ceiling === -Infinity || (minScore !== null && ceiling < minScore)) return true;
  return items.length === k && (boost === null || floor >= ceiling + boost.most);
}

/** Goes on choosing by score alone, until there are k items or the walk ends. */
export function fill(arranged: Arranged, walk: Walk, { k, minScore }: Arrangement): void {
  const { items, caps } = arranged;
  while (items.length < k) {
    const candidate = walk.next();
    if (candidate === undefined) return;
    if (isBelow(candidate, minScore)) {
      arranged.cut ??= 'min_score';
      return;
    }
    if (caps !== null && !caps.admits(candidate.item)) arranged.cut = 'caps';
    else {
      caps?.count(candidate.item);
      items.push(candidate);
    }
  }
}

const isBelow = ({ score }: Candidate, minScore: number | null): boolean => minScore !== null && score < minScore;

async function arrangePool(arranged: Arranged, walk: Walk, wanted: Arrangement, boost: Boost, table: VectorTable): Promise<Arranged> {
  const { k, caps, diversity } = wanted;
  const { pool, best, bestCaps, floor, isCut } = await gather(walk, wanted, boost);
  arranged.floor = floor;
  if (diversity === 0) {
    arranged.items = best;
    arranged.caps = bestCaps;
  } else {
    // some of each value more than the caps let through, so that there are k in the end and still a choice
    const choice = chooseBest(pool, Math.max(k, Math.min(k * POOL_FACTOR, MAX_CHOICE)), createCaps(caps, POOL_FACTOR));
    const items = await chooseDiverse(choice, k, diversity, arranged.caps, table);
    const chosen = new Set(items);
    const rest = pool.filter((candidate) => !chosen.has(candidate));
    items.push(...chooseBest(rest, k - items.length, arranged.caps));
    for (const [place, candidate] of items.entries()) if (best[place] !== candidate) candidate.movedBy = [...candidate.movedBy, 'diversity'];
    arranged.items = items;
  }
  if (arranged.items.length < pool.length) arranged.cut = 'caps';
  else if (isCut) arranged.cut = 'min_score';
  fill(arranged, walk, wanted);
  return arranged;
}

interface Pool {
  /** By falling rankScore. */
  pool: Candidate[];
  /** The first k of them within the caps, and what these count. */
  best: Candidate[];
  bestCaps: Caps;
  floor: number;
  /** The walk has come below the lowest score that is wanted. */
  isCut: boolean;
}

/** Takes as many candidates as it needs to know the k best after the boosts. */
async function gather(walk: Walk, wanted: Arrangement, boost: Boost): Promise<Pool> {
  const { k, minScore, caps } = wanted;
  const pool: Candidate[] = [];
  const limit = boost === null ? Math.max(k, MAX_CHOICE) : MAX_POOL; // what the caps want beyond a choice can be added by score
  for (let size = depthOf(wanted, boost); ; size *= POOL_GROWTH) {
    const isCut = await take(walk, pool, Math.min(size, limit), minScore, boost);
    if (boost !== null) pool.sort((a, b) => b.rankScore - a.rankScore);
    const bestCaps = createCaps(caps);
    const best = chooseBest(pool, k, bestCaps);
    const floor = best.length < k ? -Infinity : (best.at(-1)?.rankScore ?? Infinity);
    const isEnough = best.length === k && (boost === null || floor >= walk.ceiling() + boost.most);
    if (isEnough || isCut || pool.length < size) return { pool, best, bestCaps, floor, isCut };
  }
}

/** Fills the pool up to a size. @returns whether a candidate scores less than is wanted, and so all that follow */
async function take(walk: Walk, pool: Candidate[], size: number, minScore: number | null, boost: Boost): Promise<boolean> {
  while (pool.length < size) {
    const candidate = walk.next();
    if (candidate === undefined) return false;
    if (isBelow(candidate, minScore)) return true;
    boost?.lift(candidate);
    pool.push(candidate);
    if (pool.length % SLICE === 0) await nextTurn();
  }
  return false;
}

function chooseBest(candidates: readonly Candidate[], k: number, caps: Caps): Candidate[] {
  if (caps === null) return candidates.slice(0, k);
  const chosen: Candidate[] = [];
  for (const candidate of candidates) {
    if (chosen.length === k) break;
    if (!caps.admits(candidate.item)) continue;
    caps.count(candidate.item);
    chosen.push(candidate);
  }
  return chosen;
}
