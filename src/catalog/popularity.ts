import { isServable, type Catalogue, type CatalogueItem } from './catalogue.js';

const RANKING_LENGTH = 5000;

export interface Popularity {
  /** Counts one positive event. */
  add(itemId: string, at: number): void;
  /** Takes back what was counted for an event that is erased. */
  remove(itemId: string, at: number): void;
  /**
   * Servable items by falling fallback score: popular with time decay, every fifth place the freshest one.
   * @param maxAgeMs what has become servable since may be missing for as long
   */
  ranking(catalogue: Catalogue, now: number, maxAgeMs: number): CatalogueItem[];
  /** Decayed number of positive events, as of now. */
  weight(itemId: string, now: number): number;
}

/** Exponential decay: the weight of an event halves each half-life. Kept relative to a fixed origin, so nothing has to be recomputed as time passes. */
export function createPopularity(origin: number, halfLifeMs: number, initial: Iterable<{ item_id: string; weight: number }>): Popularity {
  const weights = new Map<string, number>();
  for (const { item_id: itemId, weight } of initial) weights.set(itemId, weight);
  let cached: { at: number; catalogue: Catalogue; size: number; ranking: CatalogueItem[] } | null = null;

  const rank = (catalogue: Catalogue, now: number): CatalogueItem[] => {
    const servable = [...catalogue.items()].filter((item) => isServable(item, now));
    const weightOf = ({ fields }: CatalogueItem): number => weights.get(fields.item_id) ?? 0;
    const freshness = ({ fields, created }: CatalogueItem): number => fields.available_from ?? created;
    const byId = (a: CatalogueItem, b: CatalogueItem): number => (a.fields.item_id < b.fields.item_id ? -1 : 1);
    const popular = [...servable].sort((a, b) => weightOf(b) - weightOf(a) || freshness(b) - freshness(a) || byId(a, b)).slice(0, RANKING_LENGTH);
    const fresh = [...servable].sort((a, b) => freshness(b) - freshness(a) || byId(a, b)).slice(0, RANKING_LENGTH / 4);
    const mixed = new Set<CatalogueItem>();
    let next = 0;
    for (const item of popular) {
      mixed.add(item);
      if (mixed.size % 5 !== 4) continue;
      while (next < fresh.length && mixed.has(fresh[next] as CatalogueItem)) next++;
      const freshest = fresh[next];
      if (freshest !== undefined) mixed.add(freshest);
    }
    return [...mixed];
  };

  const worth = (at: number): number => 2 ** ((at - origin) / halfLifeMs);

  return {
    add: (itemId, at) => void weights.set(itemId, (weights.get(itemId) ?? 0) + worth(at)),
    remove: (itemId, at) => void weights.set(itemId, Math.max(0, (weights.get(itemId) ?? 0) - worth(at))),
    ranking: (catalogue, now, maxAgeMs) => {
      // wall time may be set back: an age that is negative counts as old
      const age = cached === null ? Infinity : Math.abs(now - cached.at);
      if (cached === null || cached.catalogue !== catalogue || cached.size !== catalogue.size || age >= maxAgeMs) {
        cached = { at: now, catalogue, size: catalogue.size, ranking: rank(catalogue, now) };
      }
      return cached.ranking;
    },
    weight: (itemId, now) => (weights.get(itemId) ?? 0) * 2 ** ((origin - now) / halfLifeMs),
  };
}
