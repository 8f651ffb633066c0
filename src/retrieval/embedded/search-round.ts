import type { EligibilityRules } from '../../domain/eligibility.js';
import type { RecommenderPool, Searched } from '../../model/recommender-pool.js';
import type { SearchJob } from '../../model/search-messages.js';
import { SearchEnded, type Query } from '../retrieval.js';
import type { SlotBitmap } from './slot-filters.js';
import type { Slots } from './slots.js';

/** Parameters of one round of a stream. */
export interface SearchScope {
  /** Number of wanted candidates, in addition to those that the rules will refuse. */
  count: number;
  /** Score all allowed slots instead of searching the graph. */
  isExact: boolean;
  /** Search among these slots only; null: among all. */
  among: SlotBitmap | null;
}

export interface SearchRound {
  found: Searched;
  /** Item indexes of the found slots; -1: no item. Read in the same turn, because a slot may get another item later. */
  indexes: readonly number[];
  /** The search has found all items that match. */
  isComplete: boolean;
  /** The search has found fewer than requested. A graph search may miss further items. */
  isShort: boolean;
}

/** Inputs of all rounds of one query. */
export interface SearchTask {
  slots: Slots;
  pool: Pick<RecommenderPool, 'search'>;
  query: Query;
  rules: EligibilityRules;
  /** Indexes of the history items that are embedded, oldest first. */
  history: readonly number[];
}

/**
 * Embeds the query and searches, in one call of a recommender thread. It requests more than `count` candidates, because seen, excluded
 * and earlier shown items may be among them.
 * @param isFirst the first round also returns the vectors that explain and score
 * @throws ReelfuseError 503 `overloaded`; SearchEnded
 */
export async function searchRound(task: SearchTask, { count, isExact: wantsExact, among }: SearchScope, isFirst: boolean): Promise<SearchRound> {
  const { rules, query, pool, slots } = task;
  const overFetch = rules.seen.size + rules.excludedIds.size + rules.shownEarlier.size;
  const total = count + overFetch;
  const isExact = wantsExact || total >= slots.count - slots.free; // a graph search would visit every node
  let asked = 0;
  // slots are looked up as late as possible, when a worker takes the job
  const found = await pool.search(() => {
    const job = query.isLate() ? null : jobOf(task, total, isExact, among, isFirst);
    asked = job?.count ?? 0;
    return job;
  });
  if (found === null) throw new SearchEnded();
  const indexes: number[] = []; // a typed array of this size would have memory of its own
  for (let n = 0; n < found.count; n++) indexes.push(slots.indexAt(found.batch.slots[found.first + n] as number)); // n < count
  const isShort = found.count < asked;
  // among allowed slots the search falls back to an exact one when the graph returns too few
  return { found, indexes, isShort, isComplete: isShort && (isExact || among !== null) };
}

const NONE: readonly number[] = [];

/** Null: every item to search by has lost its slot. */
function jobOf(
  { slots, query, rules, ...task }: SearchTask,
  total: number,
  exact: boolean,
  among: SlotBitmap | null,
  isFirst: boolean,
): SearchJob | null {
  const isAround = query.similarTo !== null;
  const history = isAround ? NONE : slotsOf(slots, task.history);
  const similarTo = query.similarTo === null ? null : slots.slotOf(query.similarTo);
  if (similarTo === null ? history.length === 0 : similarTo < 0) return null;
  const excludesHistory = rules.excludesHistory && !isAround;
  const asked = { history, count: total - (excludesHistory ? history.length : 0), excludesHistory };
  const explain = isFirst && query.explain;
  const wantsUser = isFirst && query.scoresOthers;
  const { exact: float32, disliked } = query;
  if (!isAround && disliked.length === 0 && among === null && !exact && !float32 && !explain && !wantsUser) return { ...asked, options: null };
  const allowed = among === null ? null : { words: among.words, count: among.count };
  return { ...asked, options: { similarTo, disliked: Int32Array.from(slotsOf(slots, disliked)), allowed, exact, float32, explain, wantsUser } };
}

/** Slots of items, without those that have none. */
function slotsOf(slots: Slots, indexes: readonly number[]): number[] {
  const found: number[] = [];
  for (const index of indexes) {
    const slot = slots.slotOf(index);
    if (slot >= 0) found.push(slot);
  }
  return found;
}
