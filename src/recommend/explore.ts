import type { CatalogueItem } from '../catalog/catalogue.js';
import { bornAt } from '../catalog/popularity.js';
import type { Recommended, RecommendContext } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** Freshest items looked at; the eligible among them are equally likely. */
const MAX_FRESH = 1000;
const RANKING_AGE_MS = 1000;

/** mulberry32: the same seed gives the same choice. */
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Gives `slots` places of the answer, evenly spread, to new items that were shown less often than the budget: drawn
 * uniformly without replacement, so that each eligible one is in the answer with probability slots / eligible. That
 * propensity is returned and logged, for unbiased estimates later on.
 */
export function explore(
  { generation, popularity, exploration }: RecommendContext,
  items: readonly Recommended[],
  wanted: { k: number; slots: number; seed: number; scoreOf: (item: CatalogueItem) => number },
  limits: Limits,
  now: number,
): Recommended[] {
  const present = new Set(items.map(({ item }) => item));
  const { fresh } = popularity.ranking(generation.catalogue, now, RANKING_AGE_MS);
  const eligible = fresh.slice(0, MAX_FRESH).flatMap(({ fields }) => {
    const item = generation.catalogue.get(fields.item_id); // the ranking may be a moment old
    if (item === undefined || present.has(item) || now - bornAt(item) > exploration.maxAgeMs) return [];
    return popularity.shown(fields.item_id) < exploration.budget && isAllowed(item, limits, now) ? [item] : [];
  });
  const slots = Math.min(wanted.slots, eligible.length);
  const propensity = slots / Math.max(eligible.length, 1);
  const random = randomOf(wanted.seed);
  const drawn: Recommended[] = [];
  for (let n = 0; n < slots; n++) {
    const [item] = eligible.splice(Math.floor(random() * eligible.length), 1);
    if (item !== undefined) drawn.push({ item, score: wanted.scoreOf(item), reason: 'exploration', movedBy: ['exploration'], propensity });
  }
  const mixed = items.slice(0, wanted.k - drawn.length);
  drawn.forEach((item, n) => mixed.splice(Math.floor(((n + 1) * wanted.k) / (drawn.length + 1)), 0, item));
  return mixed;
}
