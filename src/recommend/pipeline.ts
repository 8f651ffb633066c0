import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { Generation } from '../generations/generation.js';
import { ReelfuseError, notFound } from '../errors.js';
import type { Searched } from '../model/recommender-pool.js';
import { MAX_POOL, arrange, depthOf, fill, isSettled, type Arranged, type Walk } from './arrange.js';
import { createBoost, type Boost } from './boost.js';
import { fetchCandidates, queryOf, type Fetched, type Query, type Scope } from './candidates.js';
import { assignArm } from './experiment.js';
import { explain, explainLayers } from './explain.js';
import { explore } from './explore.js';
import { walkRanking, walkRest } from './fallback.js';
import { collectHistory, type History } from './history.js';
import { hashOf } from './cursors.js';
import { pin, pinsOf } from './pins.js';
import {
  STAGES,
  noTimings,
  type Candidate,
  type Explanation,
  type FallbackReason,
  type RecommendAnswer,
  type RecommendContext,
  type RecommendRequest,
  type Recommended,
  type ShortReason,
  type Timings,
} from './request.js';
import { compileRules, isAllowed, type Limits } from './rules.js';

/** Time that a request with a deadline keeps for the fallback ranking and for its answer. */
const DEADLINE_RESERVE_MS = 2;
/** How long a request without a deadline waits for a change that it wants to see. */
const SEQUENCE_WAIT_MS = 1000;
/** A wider search of the graph asks for so many times more, and is worth it while it is cheaper than scoring everything. */
const WIDEN = 16;
const NOTHING_SERVED: ReadonlySet<number> = new Set();
/** One candidate of the graph costs as much as scoring so many items. */
const GRAPH_COST = 16;

/**
 * history → pins → candidates → rules → boost → arrange → explore → explain → page. As many items as asked whenever
 * that many are allowed; otherwise `shortReason` says why not.
 * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`, 503 `overloaded` or `sequence_not_reached`; around an
 *   item 404 `item_not_found`, 409 `item_without_vector`
 */
export async function recommend(context: RecommendContext, request: RecommendRequest): Promise<RecommendAnswer> {
  const started = performance.now();
  const timings = noTimings();
  const deadline = request.deadlineMs === null ? Infinity : started + request.deadlineMs - DEADLINE_RESERVE_MS;
  await waitForSequence(context, request, deadline);
  const sequence = context.store.sequence(); // before anything is read: whatever is newer may be missing
  const now = Date.now();
  const compiled = compileRules(context, request);
  const identity = identityOf(request);
  const shown = request.cursor === null ? [] : context.cursors.open(request.cursor, identity, now).shown;
  const history = collectHistory(context, request, now);
  const { met, withheld } = history;
  const withholdsHistory = request.excludeSeen && request.seenWithinMs === null;
  const served = shown.length === 0 ? NOTHING_SERVED : new Set(shown);
  const open: Limits = { met, withheld, withholdsHistory, served, filter: compiled.filter };
  const boost = createBoost(context, request, compiled, now);
  const pins = request.pins.length === 0 ? [] : pinsOf(context, request, open, now);
  const limits = pins.length === 0 ? open : besides({ items: pins }, open); // they have their places
  const ranking = pins.length === 0 ? request : { ...request, k: request.k - pins.length };
  timings.history = performance.now() - started;

  const ranked = await rank(context, ranking, history, limits, boost, deadline, timings);
  const scoreOf = scoring(context, ranked);
  const seed = request.exploration === null ? null : (request.exploration.seed ?? Math.floor(Math.random() * 2 ** 32));
  const explored =
    request.exploration === null || seed === null
      ? ranked.items
      : explore(context, ranked.items, { ...ranking, slots: request.exploration.slots, seed: seed + shown.length, scoreOf }, limits, now);
  const items = pins.length === 0 ? explored : pin(explored, pins, scoreOf);

  const plain = request.explain ? explain(context.generation, items, history.rows, ranked.found) : null;
  const explanations = plain !== null && request.explainLayers ? await withLayers(context, items, plain, deadline) : plain;
  const shortReason = items.length < request.k ? ranked.shortReason : null;
  // the caps begin anew with each page: what they kept out of this one may come in the next
  const hasMore = shortReason === null || shortReason === 'caps';
  const nextCursor = hasMore ? context.cursors.seal([...shown, ...items.map(({ item }) => hashOf(item.fields.item_id))], identity, now) : null;
  const arm = request.experiment === null ? null : assignArm(request.experiment, request.userId ?? String(Math.random()));
  timings.total = performance.now() - started;
  for (const stage of STAGES) timings[stage] = Math.round(timings[stage] * 1000) / 1000;
  return {
    items,
    explanations,
    fallback: ranked.fallback,
    shortReason,
    nextCursor,
    endReason: nextCursor !== null ? null : hasMore ? 'session_full' : 'exhausted',
    arm,
    seed,
    offset: shown.length,
    sequence,
    timings,
  };
}

const identityOf = ({ userId, near, filter }: RecommendRequest): string => JSON.stringify([userId, near, filter]);

async function waitForSequence({ store }: RecommendContext, { atLeastSequence }: RecommendRequest, deadline: number): Promise<void> {
  if (atLeastSequence === null) return;
  const wait = Math.min(SEQUENCE_WAIT_MS, deadline - performance.now());
  if (await store.reached(atLeastSequence, wait)) return;
  const detail = `change ${atLeastSequence} is not here yet, the newest is ${store.sequence()}`;
  throw new ReelfuseError(503, 'sequence_not_reached', detail, { retryAfter: 1 });
}

/** The score of an item that the ranking itself did not bring. */
function scoring({ generation, popularity }: RecommendContext, { found, fallback, temperature }: Ranked): (item: CatalogueItem) => number {
  const user = found?.vectors?.user ?? null;
  return (item) => {
    if (fallback !== null) return popularity.weight(item.fields.item_id, Date.now());
    return user === null || item.slot === null ? 0 : generation.catalogue.table.similarity(user, item.slot) / temperature;
  };
}

interface Ranked {
  /** Similarities were divided by it. */
  temperature: number;
  items: Candidate[];
  found: Searched | null;
  fallback: FallbackReason | null;
  shortReason: ShortReason;
}

async function rank(
  context: RecommendContext,
  request: RecommendRequest,
  history: History,
  limits: Limits,
  boost: Boost,
  deadline: number,
  timings: Timings,
): Promise<Ranked> {
  const missing = missingFor(context, request, history);
  if (missing === null) {
    const work = rankByModel(context, request, history, limits, boost, deadline, timings);
    const ranked = await unlessLate(work, deadline);
    if (ranked === 'late' || (ranked === null && performance.now() > deadline)) return rankByPopularity(context, request, limits, boost, 'deadline');
    if (ranked !== null) return ranked;
    if (request.near !== null)
      throw new ReelfuseError(409, 'item_without_vector', `item ${request.near} has no vector yet: it waits for hidden states`);
  }
  return rankByPopularity(context, request, limits, boost, missing ?? 'unknown_history');
}

function missingFor({ isReady, generation }: RecommendContext, { near }: RecommendRequest, history: History): FallbackReason | null {
  if (!isReady()) return 'starting';
  if (near !== null) {
    if (generation.catalogue.get(near) === undefined) throw notFound('item', near);
    return null;
  }
  if (history.isEmpty) return 'no_history';
  return history.rows.length === 0 ? 'unknown_history' : null;
}

async function withLayers(
  context: RecommendContext,
  items: readonly Recommended[],
  plain: readonly Explanation[],
  deadline: number,
): Promise<Explanation[]> {
  const layered = await unlessLate(
    explainLayers(context, items, plain, () => performance.now() > deadline),
    deadline,
  );
  return layered === 'late' ? plain.map((explanation) => ({ ...explanation, layers: null })) : layered;
}

async function unlessLate<Value>(work: Promise<Value>, deadline: number): Promise<Value | 'late'> {
  if (deadline === Infinity) return work;
  work.catch(() => undefined); // nobody waits for it after the deadline
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), Math.max(0, deadline - performance.now()));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function shortReasonOf({ filter, cursor }: RecommendRequest, { cut }: Arranged): ShortReason {
  // on a later page it is not the filter that leaves too few: the rest was shown
  return cut ?? (filter === null || cursor !== null ? 'catalogue_exhausted' : 'filter');
}

/** What the searches of one request have in common. */
interface Task {
  generation: Generation;
  request: RecommendRequest;
  query: Query;
  limits: Limits;
  boost: Boost;
  isLate: () => boolean;
  timings: Timings;
}

async function rankByModel(
  { generation }: RecommendContext,
  request: RecommendRequest,
  history: History,
  limits: Limits,
  boost: Boost,
  deadline: number,
  timings: Timings,
): Promise<Ranked | null> {
  const isLate = (): boolean => performance.now() > deadline;
  const task: Task = { generation, request, query: queryOf(request, history.rows), limits, boost, isLate, timings };
  const scope: Scope = { count: depthOf(request, boost), isExact: request.exact };
  const first = await search(task, scope);
  if (first === null) return null;
  const { fetched, arranged } = first;
  const settled = isSettled(arranged, fetched.walk, request, boost) ? arranged : await widen(task, scope, first);
  if (settled === null) return null;
  const { found, temperature } = fetched;
  return { items: settled.items, found, temperature, fallback: null, shortReason: shortReasonOf(request, settled) };
}

interface Outcome {
  fetched: Fetched;
  arranged: Arranged;
}

async function search({ generation, request, query, limits, boost, isLate, timings }: Task, scope: Scope): Promise<Outcome | null> {
  const fetched = await fetchCandidates(generation, query, scope, limits, isLate, timings);
  if (fetched === null) return null;
  const before = performance.now();
  const arranged = await arrange(fetched.walk, request, boost, generation.catalogue.table);
  timings.rules += performance.now() - before;
  return { fetched, arranged };
}

/**
 * The graph is asked for more, while that is cheaper than scoring everything. Then, for boosts or where the graph has lost
 * its way, everything is scored once, and the 10,000 best are chosen from. What is still missing is searched for among
 * what caps and rules let through besides, and added by score. Null: too late.
 */
async function widen(task: Task, first: Scope, outcome: Outcome): Promise<Arranged | null> {
  const { generation, request, boost } = task;
  const further: Task = { ...task, query: { ...task.query, explain: false, wantsUser: false } }; // known from the first search
  let { fetched, arranged } = outcome;
  let scope = first;
  while (!isSettled(arranged, fetched.walk, request, boost)) {
    const isDear = scope.isExact || scope.count * WIDEN * GRAPH_COST > generation.catalogue.size;
    const isLast = isDear || fetched.isSpent;
    if (isDear && !fetched.isSpent && boost === null) break; // in the order of the score: the rest can be added to it
    scope = isLast ? { count: Math.max(MAX_POOL, scope.count), isExact: true } : { count: scope.count * WIDEN, isExact: false };
    const wider = await search(further, scope);
    if (wider === null) return null;
    ({ fetched, arranged } = wider);
    if (isLast) break;
  }
  return addRest(further, scope.count, fetched.walk, arranged);
}

/** Searches among what could still be chosen, until there are k items or no more. Null: too late. */
async function addRest({ generation, request, query, limits, boost, isLate, timings }: Task, first: number, last: Walk, arranged: Arranged) {
  let walk = last;
  for (
    let count = first;
    arranged.items.length < request.k && !isSettled(arranged, walk, request, boost);
    count = Math.min(count * WIDEN, MAX_POOL)
  ) {
    const before = performance.now();
    const left = besides(arranged, limits);
    const among = await generation.catalogue.filters.once(stillAllowed(arranged, left));
    timings.rules += performance.now() - before;
    const fetched = await fetchCandidates(generation, query, { count, isExact: true, among }, left, isLate, timings);
    if (fetched === null) return null;
    walk = fetched.walk;
    fill(arranged, walk, request);
  }
  return arranged;
}

/** By id: an item that is written meanwhile is another object in another slot. */
const besides = ({ items }: { items: readonly { item: CatalogueItem }[] }, limits: Limits): Limits => ({
  ...limits,
  withheld: new Set([...limits.withheld, ...items.map(({ item }) => item.fields.item_id)]),
});

/** What could be chosen in addition. */
function stillAllowed(arranged: Arranged, left: Limits): (item: CatalogueItem) => boolean {
  const now = Date.now();
  const { caps } = arranged;
  return (item) => {
    if (!isAllowed(item, left, now)) return false;
    if (caps === null || caps.admits(item)) return true;
    arranged.cut = 'caps'; // nothing else keeps this one out
    return false;
  };
}

async function rankByPopularity(
  context: RecommendContext,
  request: RecommendRequest,
  limits: Limits,
  boost: Boost,
  fallback: FallbackReason,
): Promise<Ranked> {
  const wish = { ...request, minScore: null }; // scores of the ranking are counts, not the model's
  let walk = await walkRanking(context, limits, request.fallbackMix);
  const arranged = await arrange(walk, wish, boost, context.generation.catalogue.table);
  // what is rarer than the ranking is long, or was shown or put in the last moment
  while (arranged.items.length < request.k && walk.ceiling() > -Infinity) {
    const limit = request.caps.length === 0 ? request.k - arranged.items.length : MAX_POOL;
    const left = besides(arranged, limits);
    walk = await walkRest(context, left, limit, stillAllowed(arranged, left));
    fill(arranged, walk, wish);
  }
  return { items: arranged.items, found: null, temperature: 1, fallback, shortReason: shortReasonOf(request, arranged) };
}
