import { isEligible } from '../../domain/eligibility.js';
import { matcherOf, type Filter } from '../../domain/filter.js';
import type { Item } from '../../domain/item.js';
import type { Candidate, CandidateStream, SearchTimings } from '../retrieval.js';
import type { EmbeddedItem } from './embedded-item.js';
import { searchRound, type SearchRound, type SearchScope, type SearchTask } from './search-round.js';
import type { SlotFilters } from './slot-filters.js';

/** A wider search of the graph asks for this many times more, and is worth it while it is cheaper than scoring everything. */
const WIDEN = 16;
/** One candidate of the graph costs as much as scoring this many items. */
const GRAPH_COST = 16;
/** Candidates of one exhaustive round at most. */
const MAX_EXHAUSTIVE = 10_000;

export interface StreamTask extends SearchTask {
  filters: SlotFilters;
  /** Similarities are divided by it. */
  temperature: number;
}

/** What the rounds so far have gone through: `admitted`, all that the caps of the last one let through. */
type Coverage = 'some' | 'admitted' | 'everything';

/**
 * Opens with one search. When its candidates are used up, the graph is asked for more while that is cheaper than scoring
 * everything; then everything is scored, or what rules and caps admit of it.
 * @throws ReelfuseError 503 `overloaded`; SearchEnded
 */
export async function openStream(task: StreamTask, count: number): Promise<CandidateStream> {
  const { query, rules, filters, slots, temperature } = task;
  const timings: SearchTimings = { queue: 0, user_tower: 0, search: 0 };
  const allowed = rules.filter === null ? null : await filters.bitmap(rules.filter);
  let scope: SearchScope = { count, isExact: query.exact, among: allowed };
  let round = timed(await searchRound(task, scope, true), timings);
  let coverage: Coverage = round.isComplete ? 'everything' : 'some';
  let rank = 0;
  let lastScore = Infinity;
  /** Of the next search among what the caps admit: with tight caps there is little to find. */
  let admittedCount = count;
  /** Indexes of what was returned, from the second round on: in one round nothing comes twice. */
  let returned: Set<number> | null = null;
  const { user = null, without = [] } = round.found.vectors ?? {};

  // a millionth is finer than what two runs of a tower agree on, and shorter to write
  const scoreAt = (at: number): number => Math.round(((round.found.batch.similarities[round.found.first + at] as number) / temperature) * 1e6) / 1e6; // at < count

  /** Of what is left of the round. */
  const drain = (wanted: number): Candidate[] => {
    const page: Candidate[] = [];
    for (; page.length < wanted && rank < round.found.count; rank++) {
      const index = round.indexes[rank] as number; // rank < count
      if (index < 0 || returned?.has(index) === true) continue; // gone, or known
      const score = scoreAt(rank);
      returned?.add(index);
      page.push({ index, score });
      lastScore = score;
    }
    return page;
  };

  const widen = async (wanted: number, admits: Filter | null): Promise<void> => {
    returned ??= new Set(round.indexes.subarray(0, rank));
    const isDear = scope.isExact || round.isShort || scope.count * WIDEN * GRAPH_COST > slots.count - slots.free;
    const wider = Math.max(wanted, scope.count * WIDEN);
    if (!isDear) scope = { count: wider, isExact: false, among: allowed };
    else if (admits === null) scope = { count: Math.min(wider, MAX_EXHAUSTIVE) + returned.size, isExact: true, among: allowed };
    else {
      scope = { count: Math.max(wanted, admittedCount), isExact: true, among: await filters.once(remaining(task, returned, admits)) };
      admittedCount = Math.min(admittedCount * WIDEN, MAX_EXHAUSTIVE);
    }
    round = timed(await searchRound(task, scope, false), timings);
    if (round.isComplete) coverage = isDear && admits !== null ? 'admitted' : 'everything';
    rank = 0;
  };

  return {
    next: async (wanted, admits) => {
      for (;;) {
        const page = drain(wanted);
        if (page.length > 0 || coverage === 'everything') return page;
        if (coverage === 'admitted' && admits !== null) return page; // caps only get fuller
        await widen(wanted, admits);
      }
    },
    get upperBound() {
      return rank === round.found.count && coverage !== 'some' ? -Infinity : lastScore;
    },
    history: query.similarTo === null ? task.history : [],
    score: async (items) => items.map((item) => scoreOf(task, user, item)),
    scoresWithout: async (items) => items.map((item) => (slots.slotOf(item.index) < 0 ? [] : without.map((vector) => scoreOf(task, vector, item)))),
    timings,
  };
}

/** Adds what the round took. */
function timed(round: SearchRound, timings: SearchTimings): SearchRound {
  timings.queue += round.found.queueMs;
  timings.user_tower += round.found.towerMs;
  timings.search += round.found.searchMs;
  return round;
}

/** What rules and caps admit and was not returned yet. */
function remaining({ rules }: StreamTask, returned: ReadonlySet<number>, admits: Filter): (item: EmbeddedItem) => boolean {
  const now = Date.now();
  const isAdmitted = matcherOf(admits);
  return (item) => !returned.has(item.index) && isEligible(item, rules, now) && isAdmitted(item);
}

/** 0 where there is nothing to compare. */
function scoreOf({ slots, temperature }: StreamTask, vector: Float32Array | null, { index }: Item): number {
  const slot = slots.slotOf(index);
  return vector === null || slot < 0 ? 0 : slots.table.similarity(vector, slot) / temperature;
}
