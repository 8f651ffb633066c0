import type { RecommendContext, Recommended } from './request.js';
import { isAllowed } from './rules.js';

/** Sorting the catalogue for every request would be too dear. */
const RANKING_AGE_MS = 1000;

/** Popular with time decay, every fifth place the freshest; the score is the decayed number of positive events. */
export function rankFallback({ generation, popularity }: RecommendContext, withheld: ReadonlySet<string>, k: number, now: number): Recommended[] {
  const { catalogue } = generation;
  const take = (maxAgeMs: number): Recommended[] => {
    const items: Recommended[] = [];
    for (const item of popularity.ranking(catalogue, now, maxAgeMs)) {
      if (items.length === k) break;
      // the ranking may be of a moment ago: what was deleted, hidden or replaced since must not slip through
      const current = catalogue.get(item.fields.item_id);
      if (current === undefined || !isAllowed(current, withheld, now)) continue;
      items.push({ item: current, score: popularity.weight(item.fields.item_id, now), reason: 'popular' });
    }
    return items;
  };
  const items = take(RANKING_AGE_MS);
  return items.length === k ? items : take(0); // what was shown or put since may fill the list
}
