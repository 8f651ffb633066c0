import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import { bornAt } from '../signals/popularity.js';
import { createCaps } from './arrange.js';
import type { Cap, Recommended, RecommendContext } from './request.js';
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
 * Gives up to `slots` of k places, evenly spread, to new items that were shown less often than the budget. They are drawn
 * uniformly without replacement among the freshest that the caps leave room for beside the ranked items, so that each of
 * these is in the answer with probability slots / eligible. That propensity is returned and logged, for unbiased
 * estimates later on. Nothing is drawn that the ranking itself has brought, whatever its score.
 */
export function explore(
  { generation, popularity, exploration }: RecommendContext,
  items: readonly Recommended[],
  wanted: { k: number; slots: number; caps: readonly Cap[]; seed: number; scoreOf: (item: CatalogueItem) => number },
  limits: Limits,
  now: number,
): Recommended[] {
  const present = new Set(items.map(({ item }) => item.fields.item_id));
  const { fresh } = popularity.ranking(generation.catalogue, now, RANKING_AGE_MS);
  const unknown = fresh.slice(0, MAX_FRESH).flatMap(({ fields }) => {
    const item = generation.catalogue.get(fields.item_id); // the ranking may be a moment old
    if (item === undefined || present.has(fields.item_id) || now - bornAt(item) > exploration.maxAgeMs) return [];
    return popularity.shown(fields.item_id) < exploration.budget && isAllowed(item, limits, now) ? [item] : [];
  });
  const { kept, eligible, slots } = makeRoom(items, unknown, wanted);
  const propensity = slots / Math.max(eligible.length, 1);
  const random = randomOf(wanted.seed);
  const mixed = [...kept];
  for (let n = 0; n < slots; n++) {
    const [item] = eligible.splice(Math.floor(random() * eligible.length), 1);
    if (item === undefined) break;
    const drawn: Recommended = { item, score: wanted.scoreOf(item), reason: 'exploration', movedBy: ['exploration'], propensity };
    mixed.splice(Math.floor(((n + 1) * wanted.k) / (slots + 1)), 0, drawn);
  }
  return mixed;
}

/** The more ranked items give way, the more new ones the caps let through: finds the most slots that can all be filled. */
function makeRoom(
  items: readonly Recommended[],
  unknown: readonly CatalogueItem[],
  { k, caps, ...wanted }: { k: number; slots: number; caps: readonly Cap[] },
): { kept: readonly Recommended[]; eligible: CatalogueItem[]; slots: number } {
  for (let slots = Math.min(wanted.slots, unknown.length, k); ; slots--) {
    const kept = items.slice(0, k - slots);
    const room = createCaps(caps);
    for (const { item } of kept) room?.count(item);
    const eligible = unknown.filter((item) => {
      const isAdmitted = room === null || room.admits(item);
      if (isAdmitted) room?.count(item);
      return isAdmitted;
    });
    if (eligible.length >= slots) return { kept, eligible, slots };
  }
}
