import type { Generation } from '../catalog/generation.js';
import type { SlotBitmap } from '../catalog/slot-filters.js';
import type { Searched } from '../model/recommender-pool.js';
import type { SearchJob } from '../model/search-messages.js';
import type { Candidate, Reason, RecommendRequest, Timings } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** What to search for; slots are looked up when a worker takes the job, as late as possible. */
export interface Query {
  /** Rows of items, oldest first. */
  history: Int32Array;
  near: string | null;
  disliked: readonly string[];
  exact: boolean;
  explain: boolean;
  /** Whether items from elsewhere are to be scored too. */
  wantsUser: boolean;
}

export const queryOf = (request: RecommendRequest, history: Int32Array): Query => ({
  history,
  near: request.near,
  disliked: request.disliked,
  exact: request.exact,
  explain: request.explain,
  wantsUser: request.pins.length > 0 || request.exploration !== null,
});

export interface Fetched {
  /** Best first. */
  candidates: Candidate[];
  /** The index has no more that are allowed. */
  isExhausted: boolean;
  found: Searched;
  temperature: number;
}

const NONE = new Int32Array(0);

/** Of the items that still have one. */
const slotsOfRows = ({ catalogue }: Generation, rows: Int32Array): Int32Array =>
  rows.map((row) => catalogue.slotOfRow(row)).filter((slot) => slot >= 0);

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

/** Null: nothing to search for any more. */
function jobOf(generation: Generation, query: Query, count: number, allowed: SlotBitmap | null): SearchJob | null {
  const { near, disliked, exact, explain, wantsUser } = query;
  const history = near === null ? slotsOfRows(generation, query.history) : NONE;
  const nearSlot = near === null ? null : (generation.catalogue.get(near)?.slot ?? null);
  if (near === null ? history.length === 0 : nearSlot === null) return null;
  if (near === null && disliked.length === 0 && allowed === null && !exact && !explain && !wantsUser) return { history, count, wishes: null };
  const bitmap = allowed === null ? null : { words: allowed.words, count: allowed.count };
  return { history, count, wishes: { near: nearSlot, disliked: slotsOf(generation, disliked), allowed: bitmap, exact, explain, wantsUser } };
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
  wanted: number,
  limits: Limits,
  isLate: () => boolean,
  timings: Timings,
): Promise<Fetched | null> {
  const { pool, catalogue, artifact } = generation;
  const temperature = query.near === null ? artifact.manifest.temperature : 1;
  const reason: Reason = query.near === null ? 'history' : 'similar';
  const allowed = limits.filter === null ? null : await catalogue.filters.bitmap(limits.filter);
  const count = wanted + limits.met.size + limits.withheld.size + limits.served.size;
  const found = await pool.search(() => (isLate() ? null : jobOf(generation, query, count, allowed)));
  if (found === null) return null;
  timings.queue += found.queueMs;
  timings.user_tower += found.towerMs;
  timings.search += found.searchMs;

  const before = performance.now();
  const now = Date.now();
  const candidates: Candidate[] = [];
  for (let rank = 0; rank < found.slots.length && candidates.length < wanted; rank++) {
    const item = catalogue.atSlot(found.slots[rank] as number); // rank < length
    if (item === undefined || !isAllowed(item, limits, now)) continue;
    const score = (found.similarities[rank] as number) / temperature; // rank < length
    candidates.push({ item, score, rankScore: score, reason, movedBy: [] });
  }
  timings.rules += performance.now() - before;
  return { candidates, isExhausted: found.slots.length < count, found, temperature };
}
