import type { Catalogue } from '../retrieval/embedded/catalogue.js';
import type { Generation } from '../generations/generation.js';
import type { SlotBitmap } from '../retrieval/embedded/slot-filters.js';
import type { Searched } from '../model/recommender-pool.js';
import type { SearchJob } from '../model/search-messages.js';
import type { Walk } from './arrange.js';
import { UNMOVED, type Reason, type RecommendRequest, type Timings } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** What to search for; slots are looked up when a worker takes the job, as late as possible. */
export interface Query {
  /** Rows of items, oldest first. */
  history: readonly number[];
  near: string | null;
  disliked: readonly string[];
  /** Embed in full precision. */
  float32: boolean;
  explain: boolean;
  /** Whether items from elsewhere are to be scored too. */
  wantsUser: boolean;
}

export const queryOf = (request: RecommendRequest, history: readonly number[]): Query => ({
  history,
  near: request.near,
  disliked: request.disliked,
  float32: request.exact,
  explain: request.explain,
  wantsUser: request.pins.length > 0 || request.exploration !== null,
});

export interface Scope {
  /** Candidates to search for. */
  count: number;
  /** Score all that may be in the answer instead of asking HNSW. */
  isExact: boolean;
  /** Search among these only; absent: among what the filter lets through. */
  among?: SlotBitmap;
}

export interface Fetched {
  walk: Walk;
  /** Fewer came back than were asked for. Of HNSW this does not mean that there are no more: it may have lost its way to them. */
  isSpent: boolean;
  found: Searched;
  temperature: number;
}

const NONE: readonly number[] = [];

/** Of the items that still have one. */
function slotsOfRows({ catalogue }: Generation, rows: readonly number[]): number[] {
  const slots: number[] = [];
  for (const row of rows) {
    const slot = catalogue.slotOfRow(row);
    if (slot >= 0) slots.push(slot);
  }
  return slots;
}

/** Of the items that have one. */
function slotsOf({ catalogue }: Generation, itemIds: readonly string[]): Int32Array {
  const slots = new Int32Array(itemIds.length);
  let found = 0;
  for (const itemId of itemIds) {
    const slot = catalogue.get(itemId)?.slot ?? null;
    if (slot !== null) slots[found++] = slot;
  }
  return slots.subarray(0, found);
}

interface Wanted {
  count: number;
  isExact: boolean;
}

/** Null: nothing to search for any more. */
function jobOf(generation: Generation, query: Query, wanted: Wanted, limits: Limits, allowed: SlotBitmap | null): SearchJob | null {
  const { near, disliked, float32, explain, wantsUser } = query;
  const history = near === null ? slotsOfRows(generation, query.history) : NONE;
  const nearSlot = near === null ? null : (generation.catalogue.get(near)?.slot ?? null);
  if (near === null ? history.length === 0 : nearSlot === null) return null;
  const excludesHistory = limits.withholdsHistory && near === null;
  const asked = { history, count: wanted.count - (excludesHistory ? history.length : 0), excludesHistory };
  const { isExact: exact } = wanted;
  if (near === null && disliked.length === 0 && allowed === null && !exact && !float32 && !explain && !wantsUser) return { ...asked, options: null };
  const bitmap = allowed === null ? null : { words: allowed.words, count: allowed.count };
  return { ...asked, options: { similarTo: nearSlot, disliked: slotsOf(generation, disliked), allowed: bitmap, exact, float32, explain, wantsUser } };
}

/**
 * Embeds and searches, in one hop to a worker; more than wanted are fetched, because hidden, expired and withheld
 * items are among them. Null when the query has nothing to search for.
 * @param isLate asked when a worker takes the job: a request that nobody waits for is not computed
 * @throws ReelfuseError 503 `overloaded`
 */
export async function fetchCandidates(
  generation: Generation,
  query: Query,
  { count, among, ...scope }: Scope,
  limits: Limits,
  isLate: () => boolean,
  timings: Timings,
): Promise<Fetched | null> {
  const { pool, catalogue, artifact } = generation;
  const temperature = query.near === null ? artifact.manifest.temperature : 1;
  const reason: Reason = query.near === null ? 'history' : 'similar';
  const allowed = among ?? (limits.filter === null ? null : await catalogue.filters.bitmap(limits.filter));
  const most = count + limits.met.size + limits.withheld.size + limits.served.size;
  const isExact = scope.isExact || most >= catalogue.size; // the graph would have to go through all of itself
  let wanted = 0;
  const found = await pool.search(() => {
    const job = isLate() ? null : jobOf(generation, query, { count: most, isExact }, limits, allowed);
    wanted = job?.count ?? 0;
    return job;
  });
  if (found === null) return null;
  timings.queue += found.queueMs;
  timings.user_tower += found.towerMs;
  timings.search += found.searchMs;
  const isSpent = found.count < wanted;
  // among few allowed slots the search is exact where the graph brings too little
  const isAll = isSpent && (isExact || allowed !== null);
  return { walk: walkFound(found, isAll, catalogue, limits, temperature, reason), isSpent, found, temperature };
}

/** What a page needs at most; of more, the first would have left the caches before they are used. */
const MAX_TOUCHED = 500;
const touched = new Float64Array(1);

/**
 * Brings the items of a search into the caches. What they consist of lies all over the heap: reads that depend on nothing
 * overlap, where one candidate after the other would wait for each of its parts.
 */
function touchItems({ batch: { slots }, first, count }: Searched, { atSlot }: Catalogue): void {
  const end = first + Math.min(count, MAX_TOUCHED);
  let sum = 0;
  for (let n = first; n < end; n++) sum += atSlot(slots[n] as number) === undefined ? 1 : 0; // n < length
  for (let n = first; n < end; n++) sum += atSlot(slots[n] as number)?.row ?? 0;
  for (let n = first; n < end; n++) sum += atSlot(slots[n] as number)?.fields.hidden === true ? 1 : 0;
  for (let n = first; n < end; n++) sum += atSlot(slots[n] as number)?.fields.item_id.length ?? 0;
  touched[0] = sum; // without a use the reads would be left out
}

/** @param isAll whether the search has found everything there is */
function walkFound(found: Searched, isAll: boolean, catalogue: Catalogue, limits: Limits, temperature: number, reason: Reason): Walk {
  const now = Date.now();
  const { slots, similarities } = found.batch;
  const { first, count } = found;
  touchItems(found, catalogue);
  // a millionth is finer than what two runs of a tower agree on, and shorter to write
  const scoreAt = (rank: number): number => Math.round(((similarities[first + rank] as number) / temperature) * 1e6) / 1e6; // rank < count
  let rank = 0;
  return {
    next: () => {
      while (rank < count) {
        const item = catalogue.atSlot(slots[first + rank] as number); // rank < count
        const score = scoreAt(rank++);
        if (item !== undefined && isAllowed(item, limits, now)) return { item, score, rankScore: score, reason, movedBy: UNMOVED };
      }
      return undefined;
    },
    ceiling: () => {
      if (rank === count && isAll) return -Infinity;
      return rank === 0 ? Infinity : scoreAt(rank - 1);
    },
  };
}
