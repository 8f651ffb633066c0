import type { Generation } from '../catalog/generation.js';
import { ReelfuseError, notFound } from '../errors.js';
import { fetchAllowed, similarJob } from './candidates.js';
import { noTimings, type RecommendAnswer } from './request.js';

export interface SimilarRequest {
  itemId: string;
  k: number;
  exclude: string[];
  exact: boolean;
}

/**
 * The items whose fused vectors lie nearest to that of one item; the score is the model's similarity, before the
 * temperature.
 * @throws ReelfuseError 404 `item_not_found`, 409 `item_without_vector`
 */
export async function findSimilar(
  generation: Generation,
  { itemId, k, exclude, exact }: SimilarRequest,
): Promise<Pick<RecommendAnswer, 'items' | 'shortReason' | 'timings'>> {
  const started = performance.now();
  if (generation.catalogue.get(itemId) === undefined) throw notFound('item', itemId);
  const timings = noTimings();
  const limits = { withheld: new Set([...exclude, itemId]), k, temperature: 1, reason: 'similar' } as const;
  const fetched = await fetchAllowed(generation, similarJob(generation, itemId, exact), limits, timings);
  if (fetched === null) throw new ReelfuseError(409, 'item_without_vector', `item ${itemId} has no vector yet: it waits for hidden states`);
  timings.total = performance.now() - started;
  return { items: fetched.items, shortReason: fetched.items.length < k ? 'catalogue_exhausted' : null, timings };
}
