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

const NO_PINS: readonly Pin[] = [];

/**
 * Pinned items that can be served, by position. A pin overrides filter, caps and what the user has seen, but never serves
 * what is hidden, not available, excluded by the caller or shown on an earlier page.
 */
export async function findPins({ context, request, rules, now }: RequestScope): Promise<readonly Pin[]> {
  const { pins, exclude } = request;
  if (pins.length === 0) return NO_PINS;
  const own: EligibilityRules = { ...rules, seen: NOTHING_SEEN, excludedIds: new Set(exclude), filter: null };
  const items = await context.retrieval.find(pins.map(({ itemId }) => itemId));
  return pins
    .flatMap(({ position }, n) => {
      const item = items[n];
      return item !== undefined && isEligible(item, own, now) ? [{ item, position }] : [];
    })
    .sort((a, b) => a.position - b.position);
}

/** The rules for the other items: what is pinned has its place. By id, because an item that is written meanwhile is another object. */
export const besidePins = (rules: EligibilityRules, pins: readonly Pin[]): EligibilityRules =>
  pins.length === 0 ? rules : { ...rules, excludedIds: new Set([...rules.excludedIds, ...pins.map(({ item }) => item.fields.item_id)]) };

/** Puts the pinned items between the others, which leave room for them; at the end where the others are too few. */
export async function placePins(
  items: readonly Recommended[],
  pins: readonly Pin[],
  { scoresOf }: Pick<Ranking, 'scoresOf'>,
): Promise<readonly Recommended[]> {
  if (pins.length === 0) return items;
  const scores = await scoresOf(pins.map(({ item }) => item));
  const placed = [...items];
  pins.forEach(({ item, position }, n) => placed.splice(position - 1, 0, { item, score: scores[n] ?? 0, reason: 'pinned', movedBy: ['pin'] }));
  return placed;
}
