import { createTop } from '../index/top.js';
import { isServable, type Catalogue, type CatalogueItem } from './catalogue.js';

const RANKING_LENGTH = 5000;

/** What events say of items, for the fallback ranking and for exploration. */
export interface Popularity {
  /** Counts one positive event. */
  add(itemId: string, at: number): void;
  /** Takes back what was counted for an event that is erased. */
  remove(itemId: string, at: number): void;
  /** Counts impressions; a negative number takes them back. */
  show(itemId: string, times: number): void;
  shown(itemId: string): number;
  /**
   * Servable items by falling fallback score: popular with time decay, every fifth place the freshest one.
   * @param maxAgeMs what has become servable since may be missing for as long
   */
  ranking(catalogue: Catalogue, now: number, maxAgeMs: number): Ranking;
  /** The first `limit` of all servable items that pass, in the order of the ranking's two orders; goes through the catalogue. */
  best(catalogue: Catalogue, now: number, limit: number, passes: (item: CatalogueItem) => boolean): CatalogueItem[];
  /** Decayed number of positive events, as of now. */
  weight(itemId: string, now: number): number;
}

export interface Ranking {
  mixed: CatalogueItem[];
  /** Freshest first. */
  fresh: CatalogueItem[];
}

export const bornAt = ({ fields, created }: CatalogueItem): number => fields.available_from ?? created;

/** Exponential decay: the weight of an event halves each half-life. Kept relative to a fixed origin, so nothing has to be recomputed as time passes. */
export function createPopularity(
  origin: number,
  halfLifeMs: number,
  initial: { positives: Iterable<{ item_id: string; weight: number }>; impressions: Iterable<{ item_id: string; shown: number }> },
): Popularity {
  const weights = new Map<string, number>();
  const impressions = new Map<string, number>();
  for (const { item_id: itemId, weight } of initial.positives) weights.set(itemId, weight);
  for (const { item_id: itemId, shown } of initial.impressions) impressions.set(itemId, shown);
  let cached: { at: number; catalogue: Catalogue; ranking: Ranking } | null = null;

  const weightOf = ({ fields }: CatalogueItem): number => weights.get(fields.item_id) ?? 0;
  const isLess = (a: CatalogueItem, b: CatalogueItem): boolean => a.fields.item_id > b.fields.item_id;
  const isOlder = (a: CatalogueItem, b: CatalogueItem): boolean => bornAt(a) < bornAt(b) || (bornAt(a) === bornAt(b) && isLess(a, b));
  const isLessPopular = (a: CatalogueItem, b: CatalogueItem): boolean => weightOf(a) < weightOf(b) || (weightOf(a) === weightOf(b) && isOlder(a, b));

  const rank = (catalogue: Catalogue, now: number, limit: number, passes: (item: CatalogueItem) => boolean): Ranking => {
    const popular = createTop(limit, isLessPopular);
    const freshest = createTop(Math.ceil(limit / 4), isOlder);
    for (const item of catalogue.items()) {
      if (!isServable(item, now) || !passes(item)) continue;
      popular.offer(item);
      freshest.offer(item);
    }
    const fresh = freshest.take();
    const mixed = new Set<CatalogueItem>();
    let next = 0;
    for (const item of popular.take()) {
      mixed.add(item);
      if (mixed.size % 5 !== 4) continue;
      while (next < fresh.length && mixed.has(fresh[next] as CatalogueItem)) next++; // next < length
      const freshItem = fresh[next];
      if (freshItem !== undefined) mixed.add(freshItem);
    }
    return { mixed: [...mixed], fresh };
  };

  const worth = (at: number): number => 2 ** ((at - origin) / halfLifeMs);

  return {
    add: (itemId, at) => void weights.set(itemId, (weights.get(itemId) ?? 0) + worth(at)),
    remove: (itemId, at) => void weights.set(itemId, Math.max(0, (weights.get(itemId) ?? 0) - worth(at))),
    show: (itemId, times) => void impressions.set(itemId, Math.max(0, (impressions.get(itemId) ?? 0) + times)),
    shown: (itemId) => impressions.get(itemId) ?? 0,
    ranking: (catalogue, now, maxAgeMs) => {
      // wall time may be set back: an age that is negative counts as old
      const age = cached === null ? Infinity : Math.abs(now - cached.at);
      if (cached === null || cached.catalogue !== catalogue || age >= maxAgeMs) {
        cached = { at: now, catalogue, ranking: rank(catalogue, now, RANKING_LENGTH, () => true) };
      }
      return cached.ranking;
    },
    best: (catalogue, now, limit, passes) => rank(catalogue, now, limit, passes).mixed.slice(0, limit),
    weight: (itemId, now) => (weights.get(itemId) ?? 0) * 2 ** ((origin - now) / halfLifeMs),
  };
}
