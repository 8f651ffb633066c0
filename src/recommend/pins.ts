import { NOTHING } from './history.js';
import type { CatalogueItem } from '../catalog/catalogue.js';
import type { Recommended, RecommendContext, RecommendRequest } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/**
 * Puts pinned items at their places. A pin overrides filter, caps and what the user has seen, but never serves what is
 * hidden, not available, excluded by the caller or shown on an earlier page.
 */
export function pin(
  { generation }: Pick<RecommendContext, 'generation'>,
  items: readonly Recommended[],
  { pins, k, exclude, scoreOf }: RecommendRequest & { scoreOf: (item: CatalogueItem) => number },
  limits: Limits,
  now: number,
): Recommended[] {
  const excluded = new Set(exclude);
  const placed = [...pins]
    .sort((a, b) => a.position - b.position)
    .flatMap(({ itemId, position }) => {
      const item = generation.catalogue.get(itemId);
      return item !== undefined && isAllowed(item, { ...limits, met: NOTHING, withheld: excluded, filter: null }, now) ? [{ item, position }] : [];
    });
  const pinned = new Set(placed.map(({ item }) => item));
  const rest = items.filter(({ item }) => !pinned.has(item));
  const scores = new Map(items.map(({ item, score }) => [item, score]));
  for (const { item, position } of placed) {
    rest.splice(position - 1, 0, { item, score: scores.get(item) ?? scoreOf(item), reason: 'pinned', movedBy: ['pin'] });
  }
  return rest.slice(0, k);
}
