import type { Item } from '../domain/item.js';
import { ReelfuseError } from '../errors.js';
import { SearchEnded, type CandidateStream, type Query } from '../retrieval/retrieval.js';
import type { EligibilityRules } from '../domain/eligibility.js';
import type { FallbackReason, ShortReason } from './answer.js';
import { isLate, unlessLate } from './deadline.js';
import { popularItems } from './fallback.js';
import { depthOf, rerank, type Reranked, type RerankOptions } from './rerank.js';
import type { RequestScope } from './scope.js';
import { eligibleItems, type RankedItem } from './source.js';

export interface Ranking {
  items: readonly RankedItem[];
  /** Null: the model has ranked. */
  fallback: FallbackReason | null;
  /** Which option is to blame when there are fewer than k items. */
  shortReason: ShortReason;
  /** Of the model; null where the fallback ranking has answered. */
  stream: CandidateStream | null;
  /** Milliseconds for everything but the search. */
  rulesMs: number;
  /** The score of items that the ranking itself did not bring. */
  scoresOf(items: readonly Item[]): Promise<number[]>;
}

/**
 * Ranks by the model, or by popularity where the model cannot: no history, not ready, too late.
 * @param rules those of the scope, less what has its place already
 * @throws ReelfuseError 503 `overloaded`; 409 `item_without_vector` around an item
 */
export async function rank(scope: RequestScope, rules: EligibilityRules, k: number): Promise<Ranking> {
  const missing = missingFor(scope);
  if (missing !== null) return rankByPopularity(scope, rules, k, missing);
  const ranked = await unlessLate(rankByModel(scope, rules, k), scope);
  if (ranked === 'late') return rankByPopularity(scope, rules, k, 'deadline');
  if (ranked !== null) return ranked;
  const { similarTo } = scope.request;
  if (similarTo !== null) throw new ReelfuseError(409, 'item_without_vector', `item ${similarTo} has no vector yet: it waits for hidden states`);
  return rankByPopularity(scope, rules, k, 'unknown_history');
}

function missingFor({ context, request, history }: RequestScope): FallbackReason | null {
  if (!context.isReady()) return 'starting';
  return request.similarTo === null && history.isEmpty ? 'no_history' : null;
}

/** Null: there is nothing to search by. */
async function rankByModel(scope: RequestScope, rules: EligibilityRules, k: number): Promise<Ranking | 'late' | null> {
  const { context, request } = scope;
  const options = rerankOptions(scope, k);
  const startedAt = performance.now();
  try {
    const stream = await context.retrieval.search(await queryOf(scope), rules, depthOf(options));
    if (stream === null) return null;
    const source = eligibleItems(context.retrieval, stream, rules, request.similarTo === null ? 'history' : 'similar');
    const reranked = await rerank(source, options, context.retrieval);
    const { queue, user_tower: userTower, search } = stream.timings;
    const rulesMs = performance.now() - startedAt - queue - userTower - search;
    const shortReason = shortReasonOf(scope, reranked);
    return { items: reranked.items, shortReason, fallback: null, stream, rulesMs, scoresOf: (items) => stream.score(items) };
  } catch (error) {
    if (!(error instanceof SearchEnded)) throw error;
    return isLate(scope) ? 'late' : null;
  }
}

async function rankByPopularity(scope: RequestScope, rules: EligibilityRules, k: number, fallback: FallbackReason): Promise<Ranking> {
  const { context, request } = scope;
  const startedAt = performance.now();
  const source = await popularItems(context, rules, request.fallbackMix);
  // scores of the ranking are counts, not the model's
  const reranked = await rerank(source, { ...rerankOptions(scope, k), minScore: null }, context.retrieval);
  const now = Date.now();
  const scoresOf = async (items: readonly Item[]): Promise<number[]> => items.map(({ fields }) => context.popularity.weight(fields.item_id, now));
  const shortReason = shortReasonOf(scope, reranked);
  return { items: reranked.items, shortReason, fallback, stream: null, rulesMs: performance.now() - startedAt, scoresOf };
}

const rerankOptions = ({ request, boost }: RequestScope, k: number): RerankOptions => ({
  k,
  minScore: request.minScore,
  caps: request.caps,
  diversity: request.diversity,
  boost,
});

/** On a later page it is not the filter that leaves too few: the rest was shown. */
const shortReasonOf = ({ request: { filter, cursor } }: RequestScope, { limitedBy }: Reranked): ShortReason =>
  limitedBy ?? (filter === null || cursor !== null ? 'catalogue_exhausted' : 'filter');

async function queryOf(scope: RequestScope): Promise<Query> {
  const { context, request, history, similarTo } = scope;
  const { disliked } = request;
  return {
    history: history.newestFirst,
    similarTo,
    disliked: disliked.length === 0 ? NONE : (await context.retrieval.find(disliked)).flatMap((item) => item?.index ?? []),
    exact: request.exact,
    explain: request.explain,
    scoresOthers: request.pins.length > 0 || request.exploration !== null,
    isLate: () => isLate(scope),
  };
}

const NONE: readonly number[] = [];
