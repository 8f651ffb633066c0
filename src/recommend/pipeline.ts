import type { CatalogueItem } from '../catalog/catalogue.js';
import { ReelfuseError, notFound } from '../errors.js';
import type { Searched } from '../model/recommender-pool.js';
import { arrange, type Arranged } from './arrange.js';
import { createBoost, type Boost } from './boost.js';
import { fetchCandidates, queryOf } from './candidates.js';
import { assignArm } from './experiment.js';
import { explain, explainLayers } from './explain.js';
import { explore } from './explore.js';
import { rankFallback } from './fallback.js';
import { collectHistory, type History } from './history.js';
import { hashOf } from './page.js';
import { pin } from './pins.js';
import {
  noTimings,
  type Candidate,
  type FallbackReason,
  type RecommendAnswer,
  type RecommendContext,
  type RecommendRequest,
  type ShortReason,
  type Timings,
} from './request.js';
import { compileRules, type Limits } from './rules.js';

/** Time that a request with a deadline keeps for the fallback ranking and for its answer. */
const DEADLINE_RESERVE_MS = 2;
/** How long a request without a deadline waits for a change that it wants to see. */
const SEQUENCE_WAIT_MS = 1000;
/** Candidates that a stage which changes the order chooses from, times k, and at least. */
const REORDER_FACTOR = 5;
const REORDER_MIN = 100;
const WIDEN = 4;

/**
 * history → candidates → rules → boost → arrange → explore → pin → explain → page. As many items as asked whenever
 * that many are allowed; otherwise `shortReason` says why not.
 * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`, 503 `overloaded` or `sequence_not_reached`; around an
 *   item 404 `item_not_found`, 409 `item_without_vector`
 */
export async function recommend(context: RecommendContext, request: RecommendRequest): Promise<RecommendAnswer> {
  const started = performance.now();
  const timings = noTimings();
  const deadline = request.deadlineMs === null ? Infinity : started + request.deadlineMs - DEADLINE_RESERVE_MS;
  await waitForSequence(context, request, deadline);
  const now = Date.now();
  const compiled = compileRules(context, request);
  const identity = identityOf(request);
  const shown = request.cursor === null ? [] : context.cursors.open(request.cursor, identity, now).shown;
  const history = collectHistory(context, request, now);
  const limits: Limits = { met: history.met, withheld: history.withheld, served: new Set(shown), filter: compiled.filter };
  const boost = createBoost(context, request, compiled, now);
  timings.history = performance.now() - started;

  const ranked = await rank(context, request, history, limits, boost, deadline, timings);
  const scoreOf = scoring(context, ranked);
  const seed = request.exploration === null ? null : (request.exploration.seed ?? Math.floor(Math.random() * 2 ** 32));
  const explored =
    request.exploration === null || seed === null
      ? ranked.items
      : explore(context, ranked.items, { k: request.k, slots: request.exploration.slots, seed: seed + shown.length, scoreOf }, limits, now);
  const items = request.pins.length === 0 ? explored : pin(context, explored, { ...request, scoreOf }, limits, now);

  const plain = request.explain ? explain(context.generation, items, history.rows, ranked.found) : null;
  const explanations = plain !== null && request.explainLayers ? await explainLayers(context, items, plain) : plain;
  const isShort = items.length < request.k;
  const nextCursor = isShort ? null : context.cursors.seal([...shown, ...items.map(({ item }) => hashOf(item.fields.item_id))], identity, now);
  const arm = request.experiment === null ? null : assignArm(request.experiment, request.userId ?? String(Math.random()));
  timings.total = performance.now() - started;
  return { items, explanations, fallback: ranked.fallback, shortReason: isShort ? ranked.shortReason : null, nextCursor, arm, seed, timings };
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
    const ranked = deadline === Infinity ? await work : await unlessLate(work, deadline);
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

async function unlessLate<Value>(work: Promise<Value>, deadline: number): Promise<Value | 'late'> {
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

/** Candidates to begin with: stages that change the order need more than k. */
function depthOf({ k, diversity, caps }: RecommendRequest, boost: Boost): number {
  const isReordered = diversity > 0 || boost !== null;
  if (isReordered) return Math.max(k * REORDER_FACTOR, REORDER_MIN);
  return caps.length > 0 ? 2 * k : k;
}

function finish(request: RecommendRequest, { cut }: Arranged): ShortReason {
  return cut ?? (request.filter === null ? 'catalogue_exhausted' : 'filter');
}

async function rankByModel(
  context: RecommendContext,
  request: RecommendRequest,
  history: History,
  limits: Limits,
  boost: Boost,
  deadline: number,
  timings: Timings,
): Promise<Ranked | null> {
  const { generation } = context;
  const query = queryOf(request, history.rows);
  for (let wanted = depthOf(request, boost); ; wanted = Math.min(wanted * WIDEN, generation.catalogue.size)) {
    const fetched = await fetchCandidates(generation, query, wanted, limits, () => performance.now() > deadline, timings);
    if (fetched === null) return null;
    const before = performance.now();
    boost?.(fetched.candidates);
    const arranged = arrange(fetched.candidates, request, generation.catalogue.table);
    timings.rules += performance.now() - before;
    const isDone = arranged.items.length === request.k || fetched.isExhausted || wanted >= generation.catalogue.size;
    if (isDone)
      return {
        items: arranged.items,
        found: fetched.found,
        temperature: fetched.temperature,
        fallback: null,
        shortReason: finish(request, arranged),
      };
    query.exact = true; // scoring all of them is cheaper than a very wide search of the graph
  }
}

function rankByPopularity(context: RecommendContext, request: RecommendRequest, limits: Limits, boost: Boost, fallback: FallbackReason): Ranked {
  const wish = { ...request, minScore: null }; // scores of the ranking are counts, not the model's
  for (let wanted = depthOf(request, boost); ; wanted *= WIDEN) {
    const { candidates, isExhausted } = rankFallback(context, limits, wanted, request.fallbackMix, Date.now());
    boost?.(candidates);
    const arranged = arrange(candidates, wish, context.generation.catalogue.table);
    if (arranged.items.length === request.k || isExhausted)
      return { items: arranged.items, found: null, temperature: 1, fallback, shortReason: finish(request, arranged) };
  }
}
