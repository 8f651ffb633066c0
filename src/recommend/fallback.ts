import type { RecommendContext, Recommended } from './request.js';
import { isAllowed } from './rules.js';

/** Popular with time decay, every fifth place the freshest; the score is the decayed number of positive events. */
export function rankFallback({ generation, popularity }: RecommendContext, withheld: ReadonlySet<string>, k: number, now: number): Recommended[] {
  const { catalogue } = generation;
  const items: Recommended[] = [];
  for (const item of popularity.ranking(catalogue, now)) {
    if (items.length === k) break;
    // the ranking is up to a second old: what was deleted or replaced since must not slip through
    const current = catalogue.get(item.fields.item_id);
    if (current === undefined || !isAllowed(current, withheld, now)) continue;
    items.push({ item: current, score: popularity.weight(item.fields.item_id, now), reason: 'popular' });
  }
  return items;
}
