import { isEligible } from '../../domain/eligibility.js';
import { matcherOf, type Filter } from '../../domain/filter.js';
import type { Item } from '../../domain/item.js';
import type { Candidate, CandidateStream, SearchTimings } from '../retrieval.js';
import type { EmbeddedItem } from './embedded-item.js';
import { searchRound, type SearchRound, type SearchScope, type SearchTask } from './search-round.js';
import type { SlotBitmap, SlotFilters } from './slot-filters.js';

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

/** Where a stream stands. */
interface State {
  readonly task: StreamTask;
  /** Slots that the caller's filter lets through; null: it has none. */
  readonly allowed: SlotBitmap | null;
  readonly timings: SearchTimings;
  scope: SearchScope;
  round: SearchRound;
  coverage: Coverage;
  /** Of the next candidate in the round. */
  rank: number;
  lastScore: number;
  /** Of the next search among what the caps admit: with tight caps there is little to find. */
  admittedCount: number;
  /** Indexes of what was returned, from the second round on: in one round nothing comes twice. */
  returned: Set<number> | null;
}

/**
 * Opens with one search. When its candidates are used up, the graph is asked for more while that is cheaper than scoring
 * everything; then everything is scored, or what rules and caps admit of it.
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
    if (state.coverage === 'admitted' && admits !== null) return page; // caps only get fuller
    await expandSearch(state, wanted, admits);
  }
}

/** Of what is left of the round. */
function drain(state: State, wanted: number): Candidate[] {
  const { round, returned, task } = state;
  const { batch, first, count } = round.found;
  const page: Candidate[] = [];
  for (; page.length < wanted && state.rank < count; state.rank++) {
    const index = round.indexes[state.rank] as number; // rank < count
    if (index < 0 || returned?.has(index) === true) continue; // gone, or known
    // a millionth is finer than what two runs of a tower agree on, and shorter to write
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
  state.returned ??= new Set(round.indexes.subarray(0, state.rank));
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

const NO_SCORES: number[] = [];

const scoresWithout = (task: StreamTask, without: readonly Float32Array[], item: Item): number[] =>
  task.slots.slotOf(item.index) < 0 ? NO_SCORES : without.map((vector) => scoreOf(task, vector, item));

/** 0 where there is nothing to compare. */
function scoreOf({ slots, temperature }: StreamTask, vector: Float32Array | null, { index }: Item): number {
  const slot = slots.slotOf(index);
  return vector === null || slot < 0 ? 0 : slots.table.similarity(vector, slot) / temperature;
}
