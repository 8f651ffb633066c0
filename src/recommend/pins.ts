import { NOTHING } from './history.js';
import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { Recommended, RecommendContext, RecommendRequest } from './request.js';
import { isAllowed, type Limits } from './rules.js';

export interface Pin {
  item: CatalogueItem;
  /** 1-based. */
  position: number;
}

/**
 * Pinned items that can be served, by position. A pin overrides filter, caps and what the user has seen, but never serves
 * what is hidden, not available, excluded by the caller or shown on an earlier page.
 */
export function pinsOf(
  { generation }: Pick<RecommendContext, 'generation'>,
  { pins, exclude }: RecommendRequest,
  limits: Pick<Limits, 'served'>,
  now: number,
): Pin[] {
  const withheld = new Set(exclude);
  return pins
    .flatMap(({ itemId, position }) => {
      const item = generation.catalogue.get(itemId);
      return item !== undefined && isAllowed(item, { ...limits, met: NOTHING, withheld, filter: null }, now) ? [{ item, position }] : [];
    })
    .sort((a, b) => a.position - b.position);
}

/** Puts the pinned items between the others, which leave room for them; at the end where the others are too few. */
export function pin(items: readonly Recommended[], pins: readonly Pin[], scoreOf: (item: CatalogueItem) => number): Recommended[] {
  const placed = [...items];
  for (const { item, position } of pins) placed.splice(position - 1, 0, { item, score: scoreOf(item), reason: 'pinned', movedBy: ['pin'] });
  return placed;
}
