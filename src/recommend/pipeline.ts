import { fetchAllowed, historyJob } from './candidates.js';
import { explain } from './explain.js';
import { rankFallback } from './fallback.js';
import { collectHistory, type History } from './history.js';
import { noTimings, type FallbackReason, type RecommendAnswer, type RecommendContext, type RecommendRequest, type Timings } from './request.js';

/**
 * history → candidates → rules → explain. As many items as asked whenever that many are allowed; otherwise
 * `shortReason` says why not.
 * @throws ReelfuseError 503 `overloaded`
 */
export async function recommend(context: RecommendContext, request: RecommendRequest): Promise<RecommendAnswer> {
  const started = performance.now();
  const timings = noTimings();
  const history = collectHistory(context, request);
  timings.history = performance.now() - started;

  const missing = missingFor(context, history);
  const answer = missing === null ? await rankByModel(context, request, history, timings) : null;
  const result = answer ?? rankByPopularity(context, request, history, missing ?? 'unknown_history');
  timings.total = performance.now() - started;
  return { ...result, shortReason: result.items.length < request.k ? 'catalogue_exhausted' : null, timings };
}

type Ranked = Pick<RecommendAnswer, 'items' | 'explanations' | 'fallback'>;

function missingFor({ isReady }: RecommendContext, history: History): FallbackReason | null {
  if (!isReady()) return 'starting';
  if (history.isEmpty) return 'no_history';
  return history.items.length === 0 ? 'unknown_history' : null;
}

async function rankByModel(context: RecommendContext, request: RecommendRequest, history: History, timings: Timings): Promise<Ranked | null> {
  const { generation } = context;
  const { temperature } = generation.artifact.manifest;
  const limits = { withheld: history.withheld, k: request.k, temperature, reason: 'history' } as const;
  const fetched = await fetchAllowed(generation, historyJob(generation, request, history.items), limits, timings);
  if (fetched === null) return null;
  const { items, found } = fetched;
  const explanations = request.explain ? explain(generation, items, history.items, found) : null;
  return { items, explanations, fallback: null };
}

function rankByPopularity(context: RecommendContext, request: RecommendRequest, history: History, fallback: FallbackReason): Ranked {
  const items = rankFallback(context, history.withheld, request.k, Date.now());
  const explanations = request.explain ? items.map(({ item }) => ({ id_share: item.idShare, history: [], moved_by: [] })) : null;
  return { items, explanations, fallback };
}
