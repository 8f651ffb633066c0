import { setImmediate as nextTurn } from 'node:timers/promises';
import { createTop, type Top } from '../index/top.js';
import { valuesOf } from '../domain/attributes.js';
import { bornAt, isServable, type Item } from '../domain/item.js';
import type { ItemTotal } from '../store/events.js';
import { createItemCounts, type ItemCounts } from './item-counts.js';

const RANKING_LENGTH = 5000;
/** Items that are ranked for each value of an attribute, and attributes that are kept so. */
const VALUE_LENGTH = 1000;
const VALUES_KEPT = 8;
const VALUE_SLICE = 100;
/** Items between two turns of the event loop while the ranking is made anew. */
const SLICE = 1000;

/** All items, for rankings that go through everything. */
export interface ItemSource {
  readonly size: number;
  items(): Iterable<Item>;
}

/** What events say of items, for the fallback ranking and for exploration. */
export interface Popularity {
  /** Counts one positive event. */
  add(itemId: string, at: number): void;
  /** Takes back what was counted for an event that is erased. */
  remove(itemId: string, at: number): void;
  /** Counts impressions; a negative number takes them back. */
  addImpressions(itemId: string, times: number): void;
  shown(itemId: string): number;
  /**
   * Servable items by falling fallback score: popular with time decay, every fifth place the freshest one.
   * Older than `maxAgeMs` it is made anew in the background, beside requests; items of it may meanwhile be gone or hidden.
   */
  ranking(catalogue: ItemSource, now: number, maxAgeMs: number): Ranking;
  /**
   * Servable items by the value of an attribute, for each value the best in the order of the ranking, and the values in
   * the order of their best; an item with a list stands under each entry, items without the attribute under none of the
   * others. As old as the ranking, and awaited only where nobody has asked for it lately.
   */
  byValue(catalogue: ItemSource, now: number, attribute: string, maxAgeMs: number): Promise<Item[][]>;
  /** The first `limit` of all servable items that pass, in the order of the ranking; goes through the catalogue beside requests. */
  best(catalogue: ItemSource, now: number, limit: number, passes: (item: Item) => boolean): Promise<Item[]>;
  /** Decayed number of positive events, as of now. */
  weight(itemId: string, now: number): number;
  /** The item was deleted: what is known of it is kept as that of an id without an item. */
  markDeleted(itemId: string): void;
}

/** Pages of them. */
type Totals = AsyncIterable<readonly ItemTotal[]> | Iterable<readonly ItemTotal[]>;

export interface PopularitySetup {
  /** Milliseconds since 1970; the initial weights are relative to it. */
  origin: number;
  halfLifeMs: number;
  isKnown: (itemId: string) => boolean;
  initial: {
    positives: Totals;
    impressions: Totals;
  };
}

export interface Ranking {
  mixed: Item[];
  /** Freshest first. */
  fresh: Item[];
}

interface Ranked {
  item: Item;
  weight: number;
  born: number;
}

const isOlder = (a: Ranked, b: Ranked): boolean => a.born < b.born || (a.born === b.born && a.item.fields.item_id > b.item.fields.item_id);
const isLessPopular = (a: Ranked, b: Ranked): boolean => a.weight < b.weight || (a.weight === b.weight && isOlder(a, b));

/** Every fifth place of the popular ones goes to the freshest that is not there yet. */
function interleave(popular: readonly Ranked[], fresh: readonly Item[]): Item[] {
  const mixed = new Set<Item>();
  let next = 0;
  for (const { item } of popular) {
    mixed.add(item);
    if (mixed.size % 5 !== 4) continue;
    while (next < fresh.length && mixed.has(fresh[next] as Item)) next++; // next < length
    const freshItem = fresh[next];
    if (freshItem !== undefined) mixed.add(freshItem);
  }
  return [...mixed];
}

async function besideRequests<Result>(steps: Generator<void, Result>): Promise<Result> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await nextTurn();
  }
}

/** Half-lives between the origin and an event after which the origin is moved: numbers end at 2^1024. */
const MAX_HALF_LIVES = 512;

/** Exponential decay: the weight of an event halves each half-life. Kept relative to an origin, so nothing has to be recomputed as time passes. */
export async function createPopularity({ origin: start, halfLifeMs, isKnown, initial }: PopularitySetup): Promise<Popularity> {
  const weights = await countsOf(initial.positives, isKnown);
  const impressions = await countsOf(initial.impressions, isKnown);
  let origin = start;
  let cached: { at: number; ranking: Ranking } | null = null;
  let refreshing: Promise<void> | null = null;

  /** Goes through the catalogue; pauses at each yield. */
  function* rank(catalogue: ItemSource, now: number, limit: number, passes: (item: Item) => boolean): Generator<void, Ranking> {
    const popular = createTop(limit, isLessPopular);
    const freshest = createTop(Math.ceil(limit / 4), isOlder);
    const { size } = catalogue;
    let seen = 0;
    for (const item of catalogue.items()) {
      if (seen === size) break; // what is put meanwhile would keep this going for as long as a catalogue loads
      if (++seen % SLICE === 0) yield;
      if (!isServable(item, now) || !passes(item)) continue;
      const entry = { item, weight: weights.get(item.fields.item_id), born: bornAt(item) };
      popular.offer(entry);
      freshest.offer(entry);
    }
    const fresh = freshest.take().map(({ item }) => item);
    yield;
    return { mixed: interleave(popular.take(), fresh), fresh };
  }
  /** The same for each value of an attribute. */
  function* rankValues(catalogue: ItemSource, now: number, attribute: string): Generator<void, Item[][]> {
    const groups = new Map<unknown, { popular: Top<Ranked>; freshest: Top<Ranked> }>();
    const { size } = catalogue;
    let seen = 0;
    for (const item of catalogue.items()) {
      if (seen === size) break;
      if (++seen % SLICE === 0) yield;
      if (!isServable(item, now)) continue;
      const entry = { item, weight: weights.get(item.fields.item_id), born: bornAt(item) };
      const values = valuesOf(item, attribute);
      for (const value of values.length === 0 ? [undefined] : values) {
        const group = groups.get(value) ?? { popular: createTop(VALUE_LENGTH, isLessPopular), freshest: createTop(VALUE_LENGTH / 4, isOlder) };
        groups.set(value, group);
        group.popular.offer(entry);
        group.freshest.offer(entry);
      }
    }
    yield;
    const ranked: { best: Ranked; items: Item[] }[] = [];
    for (const { popular, freshest } of groups.values()) {
      const entries = popular.take();
      const [best] = entries;
      const fresh = freshest.take().map(({ item }) => item);
      if (best !== undefined) ranked.push({ best, items: interleave(entries, fresh) });
      if (ranked.length % VALUE_SLICE === 0) yield;
    }
    return ranked.sort((a, b) => (isLessPopular(a.best, b.best) ? 1 : isLessPopular(b.best, a.best) ? -1 : 0)).map(({ items }) => items);
  }
  const rankNow = (...wanted: Parameters<typeof rank>): Ranking => {
    const steps = rank(...wanted);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  };
  const refresh = async (catalogue: ItemSource, now: number): Promise<void> => {
    cached = { at: now, ranking: await besideRequests(rank(catalogue, now, RANKING_LENGTH, () => true)) };
  };
  const kept = new Map<string, { at: number; groups: Promise<Item[][]>; refreshing: boolean }>(); // in the order of their last use
  const byValue = (catalogue: ItemSource, now: number, attribute: string, maxAgeMs: number): Promise<Item[][]> => {
    const make = (): Promise<Item[][]> => besideRequests(rankValues(catalogue, now, attribute));
    const entry = kept.get(attribute) ?? { at: now, groups: make(), refreshing: false };
    kept.delete(attribute);
    kept.set(attribute, entry);
    const [oldest] = kept.keys();
    if (kept.size > VALUES_KEPT && oldest !== undefined) kept.delete(oldest);
    if (Math.abs(now - entry.at) >= maxAgeMs && !entry.refreshing) {
      entry.refreshing = true;
      void make().then((groups) => Object.assign(entry, { at: now, groups: Promise.resolve(groups), refreshing: false }));
    }
    return entry.groups;
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
    addImpressions: (itemId, times) => impressions.set(itemId, impressions.get(itemId) + times),
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
    byValue,
    best: async (catalogue, now, limit, passes) => (await besideRequests(rank(catalogue, now, limit, passes))).mixed.slice(0, limit),
    weight: (itemId, now) => weights.get(itemId) * 2 ** -halfLives(now),
    markDeleted: (itemId) => {
      for (const counts of [weights, impressions]) counts.set(itemId, counts.get(itemId));
    },
  };
}

async function countsOf(totals: Totals, isKnown: (itemId: string) => boolean): Promise<ItemCounts> {
  const counts = createItemCounts(isKnown);
  for await (const page of totals) for (const { item_id: itemId, total, is_item: isItem } of page) counts.load(itemId, total, isItem === 1);
  return counts;
}
