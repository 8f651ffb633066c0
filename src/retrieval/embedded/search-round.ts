import type { EligibilityRules } from '../../domain/eligibility.js';
import type { RecommenderPool, Searched } from '../../model/recommender-pool.js';
import type { SearchJob } from '../../model/search-messages.js';
import { SearchEnded, type Query } from '../retrieval.js';
import type { SlotBitmap } from './slot-filters.js';
import type { Slots } from './slots.js';

/** How one round of a stream searches. */
export interface SearchScope {
  /** Candidates wanted, beside those that the rules will refuse. */
  count: number;
  /** Score all that may be in the answer instead of asking the graph. */
  isExact: boolean;
  /** Search among these slots only; null: among all. */
  among: SlotBitmap | null;
}

export interface SearchRound {
  found: Searched;
  /** The items found, read at once: a slot may be another item's a turn later. -1: nobody's. */
  indexes: Int32Array;
  /** Nothing else matches what was searched among. */
  isComplete: boolean;
  /** The graph brought fewer than were asked for. That does not mean that there are no more: it may have lost its way to them. */
  isShort: boolean;
}

/** What an embedded search of one query needs, the same for every round. */
export interface SearchTask {
  slots: Slots;
  pool: Pick<RecommenderPool, 'search'>;
  query: Query;
  rules: EligibilityRules;
  /** Indexes of the history items that are embedded, oldest first. */
  history: readonly number[];
}

/**
 * Embeds and searches, in one hop to a worker. More than wanted are asked for, because hidden, seen and excluded items are among
 * what is found.
 * @param isFirst later rounds know the vectors that explain and score
 * @throws ReelfuseError 503 `overloaded`; SearchEnded
 */
export async function searchRound(task: SearchTask, { count, isExact: wantsExact, among }: SearchScope, isFirst: boolean): Promise<SearchRound> {
  const { rules, query, pool, slots } = task;
  const overFetch = rules.seen.size + rules.excludedIds.size + rules.shownEarlier.size;
  const total = count + overFetch;
  const isExact = wantsExact || total >= slots.count - slots.free; // the graph would have to go through all of itself
  let asked = 0;
  // slots are looked up when a worker takes the job, as late as possible
  const found = await pool.search(() => {
    const job = query.isLate() ? null : jobOf(task, total, isExact, among, isFirst);
    asked = job?.count ?? 0;
    return job;
  });
  if (found === null) throw new SearchEnded();
  const indexes = new Int32Array(found.count);
  for (let n = 0; n < found.count; n++) indexes[n] = slots.indexAt(found.batch.slots[found.first + n] as number); // n < count
  const isShort = found.count < asked;
  // among few allowed slots the search is exact where the graph brings too little
  return { found, indexes, isShort, isComplete: isShort && (isExact || among !== null) };
}

const NONE: readonly number[] = [];

/** Null: nothing to search by any more. */
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

/** Of the items that still have one. */
function slotsOf(slots: Slots, indexes: readonly number[]): number[] {
  const found: number[] = [];
  for (const index of indexes) {
    const slot = slots.slotOf(index);
    if (slot >= 0) found.push(slot);
  }
  return found;
}
