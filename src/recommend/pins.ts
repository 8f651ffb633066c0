import { NOTHING_SEEN, isEligible, type EligibilityRules } from '../domain/eligibility.js';
import type { Item } from '../domain/item.js';
import type { Recommended } from './answer.js';
import type { Ranking } from './rank.js';
import type { RequestScope } from './scope.js';

export interface Pin {
  item: Item;
  /** 1-based. */
  position: number;
}

export const NO_PINS: readonly Pin[] = [];

/**
 * Servable pinned items, by position. A pin overrides filter, caps and seen items. It does not override hidden, unavailable, excluded
 * and earlier shown items.
 */
export async function findPins({ context, request, rules, now }: RequestScope): Promise<readonly Pin[]> {
  const { pins, exclude } = request;
  const own: EligibilityRules = { ...rules, seen: NOTHING_SEEN, excludedIds: new Set(exclude), filter: null };
  const items = await context.retrieval.find(pins.map(({ itemId }) => itemId));
  return pins
    .flatMap(({ position }, n) => {
      const item = items[n];
      return item !== undefined && isEligible(item, own, now) ? [{ item, position }] : [];
    })
    .sort((a, b) => a.position - b.position);
}

/** Rules for the other items, which exclude the pinned ones by id: an item that is written meanwhile is another object. */
export const besidePins = (rules: EligibilityRules, pins: readonly Pin[]): EligibilityRules =>
  pins.length === 0 ? rules : { ...rules, excludedIds: new Set([...rules.excludedIds, ...pins.map(({ item }) => item.fields.item_id)]) };

/** Inserts the pinned items at their positions; at the end when there are too few others. */
export async function placePins(
  items: readonly Recommended[],
  pins: readonly Pin[],
  { scoresOf }: Pick<Ranking, 'scoresOf'>,
): Promise<readonly Recommended[]> {
  const scores = await scoresOf(pins.map(({ item }) => item));
  const placed = [...items];
  pins.forEach(({ item, position }, n) => placed.splice(position - 1, 0, { item, score: scores[n] ?? 0, reason: 'pinned', movedBy: ['pin'] }));
  return placed;
}
