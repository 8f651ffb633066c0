import { setImmediate as nextTurn } from 'node:timers/promises';
import { valuesOf } from '../domain/attributes.js';
import { isServable, publishedAt, type Item } from '../domain/item.js';
import { createBestItems, type BestItems } from './best-items.js';

/** Items that are ranked for each value of an attribute. */
const VALUE_LENGTH = 1000;
/** Items, and values, handled in one turn of the event loop. */
const SLICE = 1000;
const VALUE_SLICE = 100;
/** Every fifth position of a ranking goes to a fresh item. */
const FRESH_EVERY = 5;

/** Where rankings take their items from. */
export interface AllItems {
  readonly size: number;
  items(): Iterable<Item>;
}

export interface FallbackRanking {
  /** By falling weight; every fifth position has the freshest item that is not in the ranking yet. */
  mixed: Item[];
  /** Freshest first: items whose publication time is known. */
  fresh: Item[];
}

interface Ranked {
  item: Item;
  weight: number;
  /** Null: not known. */
  published: number | null;
}

function lastIdFirst({ item: { fields: a } }: Ranked, { item: { fields: b } }: Ranked): number {
  if (a.item_id === b.item_id) return 0;
  return a.item_id > b.item_id ? -1 : 1;
}
const oldestFirst = (a: Ranked, b: Ranked): number => (a.published ?? 0) - (b.published ?? 0) || lastIdFirst(a, b);
function leastPopularFirst(a: Ranked, b: Ranked): number {
  if (a.weight === b.weight) return oldestFirst(a, b); // their difference is no number when both are -Infinity
  return a.weight < b.weight ? -1 : 1;
}

/** The most popular and the freshest of the items that are offered. */
interface Best {
  popular: BestItems<Ranked>;
  freshest: BestItems<Ranked>;
}

const createBest = (limit: number): Best => ({
  popular: createBestItems(limit, leastPopularFirst),
  freshest: createBestItems(Math.ceil(limit / (FRESH_EVERY - 1)), oldestFirst),
});

function offer({ popular, freshest }: Best, ranked: Ranked): void {
  popular.offer(ranked);
  if (ranked.published !== null) freshest.offer(ranked);
}

function interleave(popular: readonly Ranked[], fresh: readonly Item[]): Item[] {
  const mixed = new Set<Item>();
  let next = 0;
  for (const { item } of popular) {
    mixed.add(item);
    if (mixed.size % FRESH_EVERY !== FRESH_EVERY - 1) continue;
    while (next < fresh.length && mixed.has(fresh[next] as Item)) next++; // next < length
    const freshItem = fresh[next];
    if (freshItem !== undefined) mixed.add(freshItem);
  }
  return [...mixed];
}

/** Calls `visit` with each servable item; pauses after each slice. */
function* visitServable(all: AllItems, now: number, visit: (item: Item) => void): Generator<void, void> {
  const { size } = all;
  let seen = 0;
  for (const item of all.items()) {
    if (seen === size) break; // items that are put meanwhile would keep this going for as long as a catalogue loads
    if (++seen % SLICE === 0) yield;
    if (isServable(item, now)) visit(item);
  }
}

type WeightOf = (itemId: string) => number;

const rankedOf = (item: Item, weightOf: WeightOf, now: number): Ranked => ({
  item,
  weight: weightOf(item.fields.item_id),
  published: publishedAt(item, now),
});

/** Ranks the servable items that pass; pauses at each yield. */
export function* rankItems(
  all: AllItems,
  now: number,
  weightOf: WeightOf,
  limit: number,
  passes: (item: Item) => boolean,
): Generator<void, FallbackRanking> {
  const best = createBest(limit);
  yield* visitServable(all, now, (item) => {
    if (passes(item)) offer(best, rankedOf(item, weightOf, now));
  });
  const fresh = best.freshest.sorted().map(({ item }) => item);
  yield;
  return { mixed: interleave(best.popular.sorted(), fresh), fresh };
}

/** Ranks the servable items of each value of an attribute, the value with the best item first; pauses at each yield. */
export function* rankByValue(all: AllItems, now: number, weightOf: WeightOf, attribute: string): Generator<void, Item[][]> {
  const byValue = new Map<unknown, Best>();
  yield* visitServable(all, now, (item) => {
    const ranked = rankedOf(item, weightOf, now);
    const values = valuesOf(item, attribute);
    for (const value of values.length === 0 ? [undefined] : values) {
      const best = byValue.get(value) ?? createBest(VALUE_LENGTH);
      byValue.set(value, best);
      offer(best, ranked);
    }
  });
  yield;
  const rankings: { first: Ranked; items: Item[] }[] = [];
  for (const { popular, freshest } of byValue.values()) {
    const ranked = popular.sorted();
    const [first] = ranked;
    const fresh = freshest.sorted().map(({ item }) => item);
    if (first !== undefined) rankings.push({ first, items: interleave(ranked, fresh) });
    if (rankings.length % VALUE_SLICE === 0) yield;
  }
  return rankings.sort((a, b) => leastPopularFirst(b.first, a.first)).map(({ items }) => items);
}

/** Runs to the end at once. */
export function runNow<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Lets the event loop answer requests at each yield. */
export async function runInSlices<Result>(steps: Generator<void, Result>): Promise<Result> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await nextTurn();
  }
}
