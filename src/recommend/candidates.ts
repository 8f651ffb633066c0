import type { Searched } from '../model/recommender-pool.js';
import type { RecommendContext, RecommendRequest } from './request.js';

/** Embeds the history and searches, in one hop to a worker. Null when no item of the history has a vector any more. */
export function findCandidates(
  { generation }: RecommendContext,
  request: RecommendRequest,
  history: string[],
  count: number,
): Promise<Searched | null> {
  const { pool, catalogue } = generation;
  return pool.search(() => {
    const slots: number[] = [];
    for (const itemId of history) {
      const slot = catalogue.get(itemId)?.slot ?? null;
      if (slot !== null) slots.push(slot);
    }
    return slots.length === 0 ? null : { history: Int32Array.from(slots), count, exact: request.exact, explain: request.explain };
  });
}
