import type { Cap } from '../domain/caps.js';
import { isEligible, type EligibilityRules } from '../domain/eligibility.js';
import { publishedAt, type Item } from '../domain/item.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { RANKING_AGE_MS } from '../signals/popularity.js';
import type { Recommended } from './answer.js';
import { counterOf } from './choose.js';
import { createNearDuplicates } from './near-duplicates.js';
import { NO_PINS, type Pin } from './pins.js';
import type { Ranking } from './rank.js';
import { capsOf } from './request.js';
import type { RequestScope } from './scope.js';

/** Number of freshest items to draw from. */
const MAX_FRESH = 1000;

export interface Explored {
  items: readonly Recommended[];
  /** Seed of the draw; null: exploration was not requested. */
  seed: number | null;
}

export const unexplored = ({ items }: Pick<Ranking, 'items'>): Explored => ({ items, seed: null });

/** Random numbers in [0, 1) by mulberry32: the same seed gives the same sequence. */
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
 * Gives up to `slots` of k positions, evenly spread, to new items whose impressions are below the budget. They are drawn uniformly
 * without replacement among the freshest items that filter and caps admit and that the ranking does not hold. Each of these is in the
 * answer with probability slots / eligible. That propensity is returned and logged, for unbiased estimates.
 */
export async function explore(
  scope: RequestScope,
  ranking: Ranking,
  rules: EligibilityRules,
  k: number,
  pins: readonly Pin[] = NO_PINS,
): Promise<Explored> {
  const { exploration, maxSimilarity } = scope.request;
  const caps = capsOf(scope.request);
  if (exploration === null) return unexplored(ranking);
  const seed = exploration.seed ?? Math.floor(Math.random() * 2 ** 32);
  const found = await unknownItems(scope, ranking.items, rules);
  const others = [...pins, ...ranking.items].map(({ item }) => item);
  const unknown = maxSimilarity === null ? found : await distinct(found, [...others, ...ranking.shown], scope.context.retrieval, maxSimilarity);
  const { kept, eligible, slots } = makeRoom(ranking.items, unknown, { k, caps, slots: exploration.slots });
  const drawn = draw(eligible, slots, randomOf(seed + scope.shown.length));
  const scores = await ranking.scoresOf(drawn);
  const propensity = slots / Math.max(eligible.length, 1);
  const mixed: Recommended[] = [...kept];
  drawn.forEach((item, n) =>
    mixed.splice(Math.floor(((n + 1) * k) / (slots + 1)), 0, {
      item,
      score: scores[n] ?? 0,
      reason: 'exploration',
      movedBy: ['exploration'],
      propensity,
    }),
  );
  return { items: mixed, seed };
}

/** Fresh items that are eligible, not in the ranking, and have fewer impressions than the budget. */
async function unknownItems({ context, now }: RequestScope, ranked: readonly Recommended[], rules: EligibilityRules): Promise<Item[]> {
  const { popularity, catalogue, retrieval } = context;
  const { budget, maxAgeMs } = context.exploration;
  const present = new Set(ranked.map(({ item }) => item.index));
  const { fresh } = popularity.ranking(catalogue.all, now, RANKING_AGE_MS);
  const items = await retrieval.hydrate(fresh.slice(0, MAX_FRESH)); // the ranking may be up to RANKING_AGE_MS old
  return items.filter(
    (item) =>
      item !== undefined &&
      !present.has(item.index) &&
      now - (publishedAt(item, now) ?? -Infinity) <= maxAgeMs &&
      popularity.shown(item.fields.item_id) < budget &&
      isEligible(item, rules, now),
  ) as Item[]; // none is undefined
}

async function distinct(
  items: readonly Item[],
  others: readonly Item[],
  retrieval: Pick<Retrieval, 'vectors'>,
  maxSimilarity: number,
): Promise<Item[]> {
  const candidates = items.map((item) => ({ item }));
  return (await createNearDuplicates(retrieval, maxSimilarity).choose(candidates, Infinity, null, others)).map(({ item }) => item);
}

/** Draws items uniformly without replacement. */
function draw(eligible: readonly Item[], count: number, random: () => number): Item[] {
  const left = [...eligible];
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)).flat();
}

/** Finds the greatest number of slots that can all be filled: the caps admit more new items when fewer ranked ones are kept. */
function makeRoom(
  items: readonly Recommended[],
  unknown: readonly Item[],
  { k, caps, ...wanted }: { k: number; slots: number; caps: readonly Cap[] },
): { kept: readonly Recommended[]; eligible: readonly Item[]; slots: number } {
  for (let slots = Math.min(wanted.slots, unknown.length, k); ; slots--) {
    const kept = items.slice(0, k - slots);
    const counter = counterOf(caps);
    for (const { item } of kept) counter?.count(item);
    const eligible: Item[] = [];
    for (const item of unknown) {
      if (counter !== null && !counter.admits(item)) continue;
      counter?.count(item);
      eligible.push(item);
    }
    if (eligible.length >= slots) return { kept, eligible, slots };
  }
}
