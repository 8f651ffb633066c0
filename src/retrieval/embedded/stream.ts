import type { Clock } from '../../clock.js';
import { isEligible } from '../../domain/eligibility.js';
import { matcherOf, type Filter } from '../../domain/filter.js';
import type { Item } from '../../domain/item.js';
import type { Candidate, CandidateStream, SearchTimings } from '../retrieval.js';
import type { EmbeddedItem } from './embedded-item.js';
import { searchRound, type SearchRound, type SearchScope, type SearchTask } from './search-round.js';
import type { SlotBitmap, SlotFilters } from './slot-filters.js';

/** Factor of candidates by which a search is expanded. */
const WIDEN = 16;
/** Cost of one candidate of a graph search, in scored items. The graph is searched while that is cheaper than scoring everything. */
const GRAPH_COST = 16;
/** Maximum candidates of one exhaustive round. */
const MAX_EXHAUSTIVE = 10_000;

export interface StreamTask extends SearchTask {
  filters: SlotFilters;
  clock: Pick<Clock, 'now'>;
  /** Scores are similarities divided by it. */
  temperature: number;
}

/** What the rounds so far have covered. `admitted`: all items that the caps of the last round admitted. */
type Coverage = 'some' | 'admitted' | 'everything';

/** State of a stream. */
interface State {
  readonly task: StreamTask;
  /** Slots that pass the filter of the request; null: it has none. */
  readonly allowed: SlotBitmap | null;
  readonly timings: SearchTimings;
  scope: SearchScope;
  round: SearchRound;
  coverage: Coverage;
  /** Rank of the next candidate in the round. */
  rank: number;
  lastScore: number;
  /** Number of candidates of the next search among items that the caps admit. It starts small: tight caps admit few. */
  admittedCount: number;
  /** Indexes of the returned items, kept from the second round on: one round returns no item twice. */
  returned: Set<number> | null;
}

/**
 * Opens a stream with one search. When its candidates are exhausted, the stream searches the graph for more while that is cheaper
 * than scoring everything. After that it scores all items, or those that rules and caps admit.
 * @throws ReelfuseError 503 `overloaded`; SearchEnded
 */
export async function openStream(task: StreamTask, count: number): Promise<CandidateStream> {
  const { query, rules, filters } = task;
  const timings: SearchTimings = { queue: 0, user_tower: 0, search: 0 };
  const allowed = rules.filter === null ? null : await filters.bitmap(rules.filter);
  const scope: SearchScope = { count, isExact: query.exact, among: allowed };
  const round = timed(await searchRound(task, scope, true), timings);
  const coverage = round.isComplete ? 'everything' : 'some';
  const state: State = { task, allowed, timings, scope, round, coverage, rank: 0, lastScore: Infinity, admittedCount: count, returned: null };
  const { vectors } = round.found;
  return {
    next: (wanted, admits) => next(state, wanted, admits),
    upperBound: () => (state.rank === state.round.found.count && state.coverage !== 'some' ? -Infinity : state.lastScore),
    history: task.history,
    score: async (items) => items.map((item) => scoreOf(task, vectors?.user ?? null, item)),
    scoresWithout: async (items) => items.map((item) => scoresWithout(task, vectors?.without ?? [], item)),
    timings,
  };
}

async function next(state: State, wanted: number, admits: Filter | null): Promise<readonly Candidate[]> {
  for (;;) {
    const page = drain(state, wanted);
    if (page.length > 0 || state.coverage === 'everything') return page;
    if (state.coverage === 'admitted' && admits !== null) return page; // the caps of one answer never admit more than before
    await expandSearch(state, wanted, admits);
  }
}

/** Takes the next candidates of the round. */
function drain(state: State, wanted: number): Candidate[] {
  const { round, returned, task } = state;
  const { batch, first, count } = round.found;
  const page: Candidate[] = [];
  for (; page.length < wanted && state.rank < count; state.rank++) {
    const index = round.indexes[state.rank] as number; // rank < count
    if (index < 0 || returned?.has(index) === true) continue; // deleted, or returned before
    // two runs of a tower differ by more than a millionth, and six decimals are short to write
    const score = Math.round(((batch.similarities[first + state.rank] as number) / task.temperature) * 1e6) / 1e6; // rank < count
    returned?.add(index);
    page.push({ index, score });
    state.lastScore = score;
  }
  return page;
}

async function expandSearch(state: State, wanted: number, admits: Filter | null): Promise<void> {
  const { task, scope, round, allowed, timings } = state;
  const { slots, filters } = task;
  state.returned ??= new Set(round.indexes.slice(0, state.rank));
  const isDear = scope.isExact || round.isShort || scope.count * WIDEN * GRAPH_COST > slots.count - slots.free;
  const wider = Math.max(wanted, scope.count * WIDEN);
  if (!isDear) state.scope = { count: wider, isExact: false, among: allowed };
  else if (admits === null) state.scope = { count: Math.min(wider, MAX_EXHAUSTIVE) + state.returned.size, isExact: true, among: allowed };
  else {
    const among = await filters.once(remaining(task, state.returned, admits));
    state.scope = { count: Math.max(wanted, state.admittedCount), isExact: true, among };
    state.admittedCount = Math.min(state.admittedCount * WIDEN, MAX_EXHAUSTIVE);
  }
  state.round = timed(await searchRound(task, state.scope, false), timings);
  if (state.round.isComplete) state.coverage = isDear && admits !== null ? 'admitted' : 'everything';
  state.rank = 0;
}

/** Adds the times of the round. */
function timed(round: SearchRound, timings: SearchTimings): SearchRound {
  timings.queue += round.found.queueMs;
  timings.user_tower += round.found.towerMs;
  timings.search += round.found.searchMs;
  return round;
}

/** Matches items that rules and caps admit and that were not returned yet. */
function remaining({ rules, clock }: StreamTask, returned: ReadonlySet<number>, admits: Filter): (item: EmbeddedItem) => boolean {
  const now = clock.now();
  const isAdmitted = matcherOf(admits);
  return (item) => !returned.has(item.index) && isEligible(item, rules, now) && isAdmitted(item);
}

const NO_SCORES: number[] = [];

const scoresWithout = (task: StreamTask, without: readonly Float32Array[], item: Item): number[] =>
  task.slots.slotOf(item.index) < 0 ? NO_SCORES : without.map((vector) => scoreOf(task, vector, item));

/** 0 when the query or the item has no vector. */
function scoreOf({ slots, temperature }: StreamTask, vector: Float32Array | null, { index }: Item): number {
  const slot = slots.slotOf(index);
  return vector === null || slot < 0 ? 0 : slots.table.similarity(vector, slot) / temperature;
}
