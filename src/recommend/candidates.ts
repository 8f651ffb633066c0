import type { Catalogue } from '../catalog/catalogue.js';
import type { Generation } from '../catalog/generation.js';
import type { SlotBitmap } from '../catalog/slot-filters.js';
import type { SearchJob, Searched } from '../model/recommender-pool.js';
import type { Walk } from './arrange.js';
import type { Reason, RecommendRequest, Timings } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** What to search for; slots are looked up when a worker takes the job, as late as possible. */
export interface Query {
  /** Item ids, oldest first. */
  history: readonly string[];
  near: string | null;
  disliked: readonly string[];
  explain: boolean;
  /** Whether items from elsewhere are to be scored too. */
  wantsUser: boolean;
}

export const queryOf = (request: RecommendRequest, history: readonly string[]): Query => ({
  history,
  near: request.near,
  disliked: request.disliked,
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

const slotsOf = ({ catalogue }: Generation, itemIds: readonly string[]): Int32Array =>
  Int32Array.from(itemIds.map((itemId) => catalogue.get(itemId)?.slot ?? null).filter((slot) => slot !== null));

/** Null: nothing to search for any more. */
function jobOf(generation: Generation, query: Query, count: number, isExact: boolean, allowed: SlotBitmap | null): SearchJob | null {
  const history = slotsOf(generation, query.history);
  const near = query.near === null ? null : (generation.catalogue.get(query.near)?.slot ?? null);
  if (query.near === null ? history.length === 0 : near === null) return null;
  return {
    history: near === null ? history : new Int32Array(0),
    near,
    disliked: slotsOf(generation, query.disliked),
    count,
    allowed: allowed === null ? null : { words: allowed.words, count: allowed.count },
    exact: isExact,
    explain: query.explain,
    wantsUser: query.wantsUser,
  };
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
  const wanted = count + limits.withheld.size + limits.served.size;
  const isExact = scope.isExact || wanted >= catalogue.size; // the graph would have to go through all of itself
  const found = await pool.search(() => (isLate() ? null : jobOf(generation, query, wanted, isExact, allowed)));
  if (found === null) return null;
  timings.queue += found.queueMs;
  timings.user_tower += found.towerMs;
  timings.search += found.searchMs;
  const isSpent = found.slots.length < wanted;
  // among few allowed slots the search is exact where the graph brings too little
  const isAll = isSpent && (isExact || allowed !== null);
  return { walk: walkFound(found, isAll, catalogue, limits, temperature, reason), isSpent, found, temperature };
}

/** @param isAll whether the search has found everything there is */
function walkFound(
  { slots, similarities }: Searched,
  isAll: boolean,
  catalogue: Catalogue,
  limits: Limits,
  temperature: number,
  reason: Reason,
): Walk {
  const now = Date.now();
  let rank = 0;
  return {
    next: () => {
      while (rank < slots.length) {
        const item = catalogue.atSlot(slots[rank] as number); // rank < length
        const score = (similarities[rank++] as number) / temperature;
        if (item !== undefined && isAllowed(item, limits, now)) return { item, score, rankScore: score, reason, movedBy: [] };
      }
      return undefined;
    },
    get ceiling() {
      if (rank === slots.length && isAll) return -Infinity;
      return rank === 0 ? Infinity : (similarities[rank - 1] as number) / temperature; // rank - 1 < length
    },
  };
}
