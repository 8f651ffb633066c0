import { findCandidates } from './candidates.js';
import { explain } from './explain.js';
import { rankFallback } from './fallback.js';
import { collectHistory, type History } from './history.js';
import type { FallbackReason, RecommendAnswer, RecommendContext, RecommendRequest, Timings } from './request.js';
import { applyRules } from './rules.js';

/**
 * history → candidates → rules → explain. As many items as asked whenever that many are allowed; otherwise
 * `shortReason` says why not.
 * @throws ReelfuseError 503 `overloaded`
 */
export async function recommend(context: RecommendContext, request: RecommendRequest): Promise<RecommendAnswer> {
  const started = performance.now();
  const timings: Timings = { queue: 0, history: 0, user_tower: 0, search: 0, rules: 0, total: 0 };
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
  const { catalogue, artifact } = context.generation;
  let count = request.k + history.withheld.size;
  for (;;) {
    const found = await findCandidates(context, request, history.items, count);
    if (found === null) return null;
    timings.queue += found.queueMs;
    timings.user_tower += found.towerMs;
    timings.search += found.searchMs;
    const before = performance.now();
    const items = applyRules(catalogue, found, history.withheld, request.k, artifact.manifest.temperature, Date.now());
    timings.rules += performance.now() - before;
    // hidden and expired items may have eaten the candidates: fetch more, until the index is exhausted
    if (items.length === request.k || found.slots.length < count || count >= catalogue.size) {
      const explanations = request.explain ? explain(context.generation, items, history.items, found) : null;
      return { items, explanations, fallback: null };
    }
    count = Math.min(count * 4, catalogue.size);
  }
}

function rankByPopularity(context: RecommendContext, request: RecommendRequest, history: History, fallback: FallbackReason): Ranked {
  const items = rankFallback(context, history.withheld, request.k, Date.now());
  const explanations = request.explain ? items.map(({ item }) => ({ id_share: item.idShare, history: [], moved_by: [] })) : null;
  return { items, explanations, fallback };
}
