import { hashOf } from '../domain/item-hash.js';
import { STAGES, type RecommendAnswer, type Recommended, type Timings } from './answer.js';
import type { RecommendContext } from './context.js';
import { assignArm } from './experiment.js';
import { explain } from './explain.js';
import { explore, unexplored } from './explore.js';
import { NO_PINS, besidePins, findPins, placePins } from './pins.js';
import { rank, type Ranking } from './rank.js';
import type { RecommendRequest } from './request.js';
import { openScope, type RequestScope } from './scope.js';

/**
 * Answers a request with k items. When fewer are eligible, `shortReason` says why.
 * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`, 503 `overloaded` or `sequence_not_reached`; for similar items also
 *   404 `item_not_found`, 409 `item_without_vector`
 */
export async function recommend(context: RecommendContext, request: RecommendRequest): Promise<RecommendAnswer> {
  const scope = await openScope(context, request);
  // a stage that is not asked for is not awaited: every await of an answer costs promises, which must be collected
  const pins = request.pins.length === 0 ? NO_PINS : await findPins(scope);
  const rules = besidePins(scope.rules, pins);
  const k = request.k - pins.length;
  const ranking = await rank(
    scope,
    rules,
    k,
    pins.map(({ item }) => item),
  );
  const explored = request.exploration === null ? unexplored(ranking) : await explore(scope, ranking, rules, k, pins);
  const items = pins.length === 0 ? explored.items : await placePins(explored.items, pins, ranking);
  const explanations = request.explain ? await explain(scope, items, ranking) : null;
  const { shortReason, nextCursor, endReason } = endOf(scope, ranking, items);
  const answer: RecommendAnswer = {
    model: context.model,
    items,
    explanations,
    fallback: ranking.fallback,
    shortReason,
    nextCursor,
    endReason,
    arm: request.experiment === null ? null : assignArm(request.experiment, request.userId ?? String(Math.random())),
    seed: explored.seed,
    at: scope.now,
    offset: scope.shown.length,
    sequence: scope.sequence,
    timings: timingsOf(scope, ranking),
  };
  context.count(answer);
  return answer;
}

/** Why there are fewer than k items, and the cursor of the next page. */
function endOf(
  { context, request, shown, identity }: RequestScope,
  ranking: Ranking,
  items: readonly Recommended[],
): Pick<RecommendAnswer, 'shortReason' | 'nextCursor' | 'endReason'> {
  const shortReason = items.length < request.k ? ranking.shortReason : null;
  // caps count from zero on each page: an item that they refused here may be on the next page
  const hasMore = shortReason === null || shortReason === 'caps' || (shortReason === 'near_duplicates' && items.length > 0);
  const nextCursor = hasMore
    ? context.cursors.seal([...shown, ...items.map(({ item }) => hashOf(item.fields.item_id))], identity, context.steadyNow())
    : null;
  return { shortReason, nextCursor, endReason: nextCursor !== null ? null : hasMore ? 'session_full' : 'exhausted' };
}

function timingsOf({ startedAt, historyMs }: RequestScope, { stream, rulesMs }: Ranking): Timings {
  const { queue = 0, user_tower = 0, search = 0 } = stream?.timings ?? {};
  const timings: Timings = { queue, history: historyMs, user_tower, search, rules: rulesMs, total: performance.now() - startedAt };
  for (const stage of STAGES) timings[stage] = Math.round(timings[stage] * 1000) / 1000;
  return timings;
}
