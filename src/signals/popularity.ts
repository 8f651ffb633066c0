import { LRUCache } from 'lru-cache';
import type { Item } from '../domain/item.js';
import type { CountChange, ItemTotal, ItemWeight } from '../store/events.js';
import { createDecayedWeights } from './decayed-weights.js';
import { createItemCounts } from './item-counts.js';
import { rankByValue, rankItems, runInSlices, runNow, type AllItems, type FallbackRanking } from './rankings.js';

const RANKING_LENGTH = 5000;
/** How old a ranking may be: going through the catalogue for every request would be too dear. */
export const RANKING_AGE_MS = 1000;
/** Attributes whose rankings by value are kept. */
const MAX_ATTRIBUTES = 8;

/** What events say about items, for the fallback ranking and for exploration. Times are milliseconds since 1970. */
export interface Popularity {
  /** Counts events, or takes back what was counted for erased ones. */
  count(change: CountChange): void;
  /** Counts one positive event. One of the future counts as of now. */
  add(itemId: string, at: number): void;
  /** Takes back what was counted for an event that is erased. */
  remove(itemId: string, at: number): void;
  /** Counts impressions; a negative number takes them back. */
  addImpressions(itemId: string, times: number): void;
  /** Impressions so far. */
  shown(itemId: string): number;
  /**
   * Servable items in the order of the fallback. A ranking older than `maxAgeMs` is answered once more while a new one is made in the
   * background. Its items may be deleted or hidden meanwhile.
   */
  ranking(all: AllItems, now: number, maxAgeMs: number): FallbackRanking;
  /**
   * Servable items by the value of an attribute: a ranking for each value, the value with the best item first. An item with a list is in
   * the ranking of each entry; items without the attribute have one ranking together. As old as `ranking`; the first use of an attribute
   * waits for its rankings.
   */
  byValue(all: AllItems, now: number, attribute: string, maxAgeMs: number): Promise<Item[][]>;
  /** The first `limit` of all servable items that pass, in the order of the fallback. Reads all items, in slices between requests. */
  best(all: AllItems, now: number, limit: number, passes: (item: Item) => boolean): Promise<Item[]>;
  /** Decayed number of positive events, as of now; 0 also where it is too small for a number. */
  weight(itemId: string): number;
  /** Must be called when an item was deleted: its numbers are then kept as those of an id without an item. */
  markDeleted(itemId: string): void;
}

type Pages<Row> = AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>;

export interface PopularitySetup {
  /** Milliseconds since 1970. It must never run back: rankings then outlive every change of the wall time. */
  now: () => number;
  halfLifeMs: number;
  isKnown: (itemId: string) => boolean;
  initial: {
    positives: Pages<ItemWeight>;
    impressions: Pages<ItemTotal>;
  };
}

/** Events are compared with each other, not with the wall time: their order by weight is the same whatever the time is set to. */
export async function createPopularity({ now: steady, halfLifeMs, isKnown, initial }: PopularitySetup): Promise<Popularity> {
  const origin = steady();
  const positives = createItemCounts(isKnown, -Infinity);
  await eachOf(initial.positives, ({ item_id: itemId, total, newest, is_item: isItem }) =>
    positives.load(itemId, Math.log2(total) + (newest - origin) / halfLifeMs, isItem === 1),
  );
  const impressions = createItemCounts(isKnown);
  await eachOf(initial.impressions, ({ item_id: itemId, total, is_item: isItem }) => impressions.load(itemId, total, isItem === 1));
  const weights = createDecayedWeights(positives, origin, halfLifeMs, steady);
  const rankings = createKeptRankings(weights.relativeWeight);
  const addImpressions = (itemId: string, times: number): void => impressions.set(itemId, impressions.get(itemId) + times);
  return {
    count: ({ isErased, positives: watched, impressions: shown }) => {
      for (const { item_id: itemId, at } of watched) (isErased ? weights.remove : weights.add)(itemId, at);
      for (const itemId of shown) addImpressions(itemId, isErased ? -1 : 1);
    },
    add: weights.add,
    remove: weights.remove,
    addImpressions,
    shown: impressions.get,
    ...rankings,
    best: async (all, now, limit, passes) => {
      const { mixed } = await runInSlices(rankItems(all, now, weights.relativeWeight, limit, passes));
      return mixed.slice(0, limit);
    },
    weight: weights.weight,
    markDeleted: (itemId) => {
      for (const counts of [positives, impressions]) counts.set(itemId, counts.get(itemId));
    },
  };
}

async function eachOf<Row>(pages: Pages<Row>, load: (row: Row) => void): Promise<void> {
  for await (const page of pages) page.forEach(load);
}

/** Wall time may be set back: a negative age counts as old. */
const isOlder = (at: number, now: number, maxAgeMs: number): boolean => Math.abs(now - at) >= maxAgeMs;

/** Rankings that are kept and renewed in the background. */
function createKeptRankings(weightOf: (itemId: string) => number): Pick<Popularity, 'ranking' | 'byValue'> {
  let kept: { at: number; ranking: FallbackRanking } | null = null;
  let isRefreshing = false;
  const keptByValue = new LRUCache<string, { at: number; rankings: Promise<Item[][]>; isRefreshing: boolean }>({ max: MAX_ATTRIBUTES });
  const rank = (all: AllItems, now: number) => rankItems(all, now, weightOf, RANKING_LENGTH, () => true);

  const refresh = async (all: AllItems, now: number): Promise<void> => {
    isRefreshing = true;
    try {
      kept = { at: now, ranking: await runInSlices(rank(all, now)) };
    } finally {
      isRefreshing = false;
    }
  };
  return {
    ranking: (all, now, maxAgeMs) => {
      if (kept === null) kept = { at: now, ranking: runNow(rank(all, now)) };
      else if (isOlder(kept.at, now, maxAgeMs) && !isRefreshing) void refresh(all, now);
      return kept.ranking;
    },
    byValue: (all, now, attribute, maxAgeMs) => {
      const make = (): Promise<Item[][]> => runInSlices(rankByValue(all, now, weightOf, attribute));
      const entry = keptByValue.get(attribute) ?? { at: now, rankings: make(), isRefreshing: false };
      keptByValue.set(attribute, entry);
      if (isOlder(entry.at, now, maxAgeMs) && !entry.isRefreshing) {
        entry.isRefreshing = true;
        void make().then((rankings) => Object.assign(entry, { at: now, rankings: Promise.resolve(rankings), isRefreshing: false }));
      }
      return entry.rankings;
    },
  };
}
