import type { Item } from '../domain/item.js';
import { ReelfuseError } from '../errors.js';
import { SearchEnded, type CandidateStream, type Query } from '../retrieval/retrieval.js';
import type { EligibilityRules } from '../domain/eligibility.js';
import type { FallbackReason, ShortReason } from './answer.js';
import { beforeDeadline, isLate } from './deadline.js';
import { popularItems } from './fallback.js';
import { depthOf, rerank, type Reranked, type RerankOptions } from './rerank.js';
import { capsOf } from './request.js';
import type { RequestScope } from './scope.js';
import { eligibleItems, type RankedItem } from './source.js';

export interface Ranking {
  items: readonly RankedItem[];
  /** Why the fallback ranking answered; null: the model did. */
  fallback: FallbackReason | null;
  /** Reason to give when there are fewer than k items. */
  shortReason: ShortReason;
  /** Candidate stream of the model; null when the fallback ranking answered. */
  stream: CandidateStream | null;
  /** Time of the ranking without queue, user tower and search, milliseconds. */
  rulesMs: number;
  /** Items of earlier pages that the search came across. */
  shown: readonly Item[];
  /** Scores of items that are not in the ranking. */
  scoresOf(items: readonly Item[]): Promise<number[]>;
}

/**
 * Ranks by the model, or by popularity when there is no history, the catalogue is loading, or the deadline comes first.
 * @param rules those of the scope without the pinned items
 * @throws ReelfuseError 503 `overloaded`; for similar items 409 `item_without_vector`
 */
export function rank(scope: RequestScope, rules: EligibilityRules, k: number, pinned: readonly Item[] = NO_ITEMS): Promise<Ranking> {
  const missing = missingFor(scope);
  if (missing !== null) return rankByPopularity(scope, rules, k, missing, pinned);
  return beforeDeadline(rankByModel(scope, rules, k, pinned), scope, () => rankByPopularity(scope, rules, k, 'deadline', pinned));
}

function missingFor({ context, request, history }: RequestScope): FallbackReason | null {
  if (!context.isReady()) return 'starting';
  return request.similarTo === null && history.isEmpty ? 'no_history' : null;
}

/** By popularity when no item of the history has a vector, or when the search ended because the deadline had passed. */
async function rankByModel(scope: RequestScope, rules: EligibilityRules, k: number, pinned: readonly Item[]): Promise<Ranking> {
  const { context, request } = scope;
  const options = rerankOptions(scope, k, pinned);
  const startedAt = performance.now();
  try {
    const stream = await context.retrieval.search(
      queryOf(scope, request.disliked.length === 0 ? NONE : await indexesOf(scope, request.disliked)),
      rules,
      depthOf(options),
    );
    if (stream === null) return rankWithoutVector(scope, rules, k, pinned);
    const source = eligibleItems(context, stream, rules, request.similarTo === null ? 'history' : 'similar');
    const reranked = await rerank(source, options, context.retrieval);
    const { queue, user_tower: userTower, search } = stream.timings;
    const rulesMs = performance.now() - startedAt - queue - userTower - search;
    const shortReason = shortReasonOf(scope, reranked);
    return { items: reranked.items, shortReason, fallback: null, stream, rulesMs, shown: source.shown, scoresOf: (items) => stream.score(items) };
  } catch (error) {
    if (!(error instanceof SearchEnded)) throw error;
    return isLate(scope) ? rankByPopularity(scope, rules, k, 'deadline', pinned) : rankWithoutVector(scope, rules, k, pinned);
  }
}

/** No item of the history, or not the similar one, has a vector. */
async function rankWithoutVector(scope: RequestScope, rules: EligibilityRules, k: number, pinned: readonly Item[]): Promise<Ranking> {
  const { similarTo } = scope.request;
  if (similarTo !== null) throw new ReelfuseError(409, 'item_without_vector', `item ${similarTo} has no vector yet: it waits for hidden states`);
  return rankByPopularity(scope, rules, k, 'unknown_history', pinned);
}

async function rankByPopularity(
  scope: RequestScope,
  rules: EligibilityRules,
  k: number,
  fallback: FallbackReason,
  pinned: readonly Item[],
): Promise<Ranking> {
  const { context, request } = scope;
  const startedAt = performance.now();
  const source = await popularItems(context, rules, request.fallbackMix);
  // the scores of this ranking are counts, so the minimum score of the model does not apply
  const reranked = await rerank(source, { ...rerankOptions(scope, k, pinned), minScore: null }, context.retrieval);
  const scoresOf = async (items: readonly Item[]): Promise<number[]> => items.map(({ fields }) => context.popularity.weight(fields.item_id));
  const shortReason = shortReasonOf(scope, reranked);
  return { items: reranked.items, shortReason, fallback, stream: null, rulesMs: performance.now() - startedAt, shown: source.shown, scoresOf };
}

const NO_ITEMS: readonly Item[] = [];

const rerankOptions = ({ request, boost }: RequestScope, k: number, pinned: readonly Item[]): RerankOptions => ({
  k,
  minScore: request.minScore,
  caps: capsOf(request),
  diversity: request.diversity,
  boost,
  maxSimilarity: request.maxSimilarity,
  pinned,
});

/** On a later page the filter is not the reason: earlier pages have shown the other items. */
const shortReasonOf = ({ request: { filter, cursor } }: RequestScope, { limitedBy }: Reranked): ShortReason =>
  limitedBy ?? (filter === null || cursor !== null ? 'catalogue_exhausted' : 'filter');

/** @param disliked indexes of the disliked examples */
function queryOf(scope: RequestScope, disliked: readonly number[]): Query {
  const { request, history, similarTo } = scope;
  return {
    history: history.newestFirst,
    similarTo,
    disliked,
    exact: request.exact,
    explain: request.explain,
    scoresOthers: request.pins.length > 0 || request.exploration !== null,
    isLate: () => isLate(scope),
  };
}

const NONE: readonly number[] = [];

/** Unknown items are left out. */
const indexesOf = async ({ context }: RequestScope, itemIds: readonly string[]): Promise<number[]> =>
  (await context.retrieval.find(itemIds)).flatMap((item) => item?.index ?? []);
