import { setImmediate as nextTurn } from 'node:timers/promises';
import { createTop } from '../index/top.js';
import { isServable, type Catalogue, type CatalogueItem } from './catalogue.js';
import { createItemCounts } from './item-counts.js';

const RANKING_LENGTH = 5000;
/** Items between two turns of the event loop while the ranking is made anew. */
const SLICE = 1000;

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
   * Older than `maxAgeMs` it is made anew in the background, beside requests; items of it may meanwhile be gone or hidden.
   */
  ranking(catalogue: Catalogue, now: number, maxAgeMs: number): Ranking;
  /** The first `limit` of all servable items that pass, in the order of the ranking's two orders; goes through the catalogue. */
  best(catalogue: Catalogue, now: number, limit: number, passes: (item: CatalogueItem) => boolean): CatalogueItem[];
  /** Decayed number of positive events, as of now. */
  weight(itemId: string, now: number): number;
  /** The item was deleted: what is known of it is kept as that of an id without an item. */
  release(itemId: string): void;
}

export interface PopularitySetup {
  /** Milliseconds since 1970; the initial weights are relative to it. */
  origin: number;
  halfLifeMs: number;
  isKnown: (itemId: string) => boolean;
  initial: {
    positives: Iterable<{ item_id: string; weight: number; is_item: number }>;
    impressions: Iterable<{ item_id: string; shown: number; is_item: number }>;
  };
}

export interface Ranking {
  mixed: CatalogueItem[];
  /** Freshest first. */
  fresh: CatalogueItem[];
}

export const bornAt = ({ fields, created }: CatalogueItem): number => fields.available_from ?? created;

interface Ranked {
  item: CatalogueItem;
  weight: number;
  born: number;
}

const isOlder = (a: Ranked, b: Ranked): boolean => a.born < b.born || (a.born === b.born && a.item.fields.item_id > b.item.fields.item_id);
const isLessPopular = (a: Ranked, b: Ranked): boolean => a.weight < b.weight || (a.weight === b.weight && isOlder(a, b));

/** Half-lives between the origin and an event after which the origin is moved: numbers end at 2^1024. */
const MAX_HALF_LIVES = 512;

/** Exponential decay: the weight of an event halves each half-life. Kept relative to an origin, so nothing has to be recomputed as time passes. */
export function createPopularity({ origin: start, halfLifeMs, isKnown, initial }: PopularitySetup): Popularity {
  const weights = createItemCounts(isKnown);
  const impressions = createItemCounts(isKnown);
  for (const { item_id: itemId, weight, is_item: isItem } of initial.positives) weights.load(itemId, weight, isItem === 1);
  for (const { item_id: itemId, shown, is_item: isItem } of initial.impressions) impressions.load(itemId, shown, isItem === 1);
  let origin = start;
  let cached: { at: number; ranking: Ranking } | null = null;
  let refreshing: Promise<void> | null = null;

  /** Goes through the catalogue; pauses at each yield. */
  function* rank(catalogue: Catalogue, now: number, limit: number, passes: (item: CatalogueItem) => boolean): Generator<void, Ranking> {
    const popular = createTop(limit, isLessPopular);
    const freshest = createTop(Math.ceil(limit / 4), isOlder);
    let seen = 0;
    for (const item of catalogue.items()) {
      if (++seen % SLICE === 0) yield;
      if (!isServable(item, now) || !passes(item)) continue;
      const entry = { item, weight: weights.get(item.fields.item_id), born: bornAt(item) };
      popular.offer(entry);
      freshest.offer(entry);
    }
    const fresh = freshest.take().map(({ item }) => item);
    yield;
    const mixed = new Set<CatalogueItem>();
    let next = 0;
    for (const { item } of popular.take()) {
      mixed.add(item);
      if (mixed.size % 5 !== 4) continue;
      while (next < fresh.length && mixed.has(fresh[next] as CatalogueItem)) next++; // next < length
      const freshItem = fresh[next];
      if (freshItem !== undefined) mixed.add(freshItem);
    }
    return { mixed: [...mixed], fresh };
  }
  const rankNow = (...wanted: Parameters<typeof rank>): Ranking => {
    const steps = rank(...wanted);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  };
  const refresh = async (catalogue: Catalogue, now: number): Promise<void> => {
    const steps = rank(catalogue, now, RANKING_LENGTH, () => true);
    for (;;) {
      const step = steps.next();
      if (step.done === true) {
        cached = { at: now, ranking: step.value };
        return;
      }
      await nextTurn();
    }
  };

  const halfLives = (at: number): number => (at - origin) / halfLifeMs;
  const worth = (at: number): number => 2 ** halfLives(at);
  const moveOrigin = (at: number): void => {
    weights.scale(2 ** -halfLives(at));
    origin = at;
  };

  return {
    add: (itemId, at) => {
      if (halfLives(at) > MAX_HALF_LIVES) moveOrigin(at);
      weights.set(itemId, weights.get(itemId) + worth(at));
    },
    remove: (itemId, at) => weights.set(itemId, weights.get(itemId) - worth(at)),
    show: (itemId, times) => impressions.set(itemId, impressions.get(itemId) + times),
    shown: (itemId) => impressions.get(itemId),
    ranking: (catalogue, now, maxAgeMs) => {
      // wall time may be set back: an age that is negative counts as old
      const age = cached === null ? Infinity : Math.abs(now - cached.at);
      if (cached === null) cached = { at: now, ranking: rankNow(catalogue, now, RANKING_LENGTH, () => true) };
      else if (age >= maxAgeMs)
        refreshing ??= refresh(catalogue, now).finally(() => {
          refreshing = null;
        });
      return cached.ranking;
    },
    best: (catalogue, now, limit, passes) => rankNow(catalogue, now, limit, passes).mixed.slice(0, limit),
    weight: (itemId, now) => weights.get(itemId) * 2 ** -halfLives(now),
    release: (itemId) => {
      for (const counts of [weights, impressions]) counts.set(itemId, counts.get(itemId));
    },
  };
}
