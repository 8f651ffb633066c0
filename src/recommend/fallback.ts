import { attributeName } from '../domain/attributes.js';
import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { Walk } from './arrange.js';
import { UNMOVED, type RecommendContext } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** Going through the catalogue for every request would be too dear. */
const RANKING_AGE_MS = 1000;

type Context = Pick<RecommendContext, 'generation' | 'popularity'>;

/**
 * The fallback ranking: popular with time decay, every fifth place the freshest; the score is the decayed number of
 * positive events. Candidates are ordered by -ln(place), so that a boost means the same as it does to a model's logits.
 * @param mixBy attribute whose values take turns; null: none
 */
export async function walkRanking(context: Context, limits: Limits, mixBy: string | null): Promise<Walk> {
  const { generation, popularity } = context;
  const now = Date.now();
  if (mixBy === null) return walkItems(context, popularity.ranking(generation.catalogue, now, RANKING_AGE_MS).mixed, false, limits, now);
  const groups = await popularity.byValue(generation.catalogue, now, attributeName(mixBy), RANKING_AGE_MS);
  return walkItems(
    context,
    takeTurns(groups, (item) => current(context, item, limits, now) !== null),
    false,
    limits,
    now,
  );
}

/** The best of everything that passes. @param limit how many are enough */
export async function walkRest(context: Context, limits: Limits, limit: number, passes: (item: CatalogueItem) => boolean): Promise<Walk> {
  const now = Date.now();
  const items = await context.popularity.best(context.generation.catalogue, now, limit, passes);
  return walkItems(context, items, items.length < limit, limits, now);
}

/** The ranking may be of a moment ago: what was deleted, hidden or replaced since must not slip through. */
function current({ generation }: Context, { fields }: CatalogueItem, limits: Limits, now: number): CatalogueItem | null {
  const item = generation.catalogue.get(fields.item_id);
  return item !== undefined && isAllowed(item, limits, now) ? item : null;
}

function walkItems(context: Context, items: Iterable<CatalogueItem>, isAll: boolean, limits: Limits, now: number): Walk {
  const iterator = items[Symbol.iterator]();
  const given = new Set<CatalogueItem>(); // a ranking that is made while items are written may name one twice
  let place = 0;
  let isEnd = false;
  return {
    next: () => {
      for (;;) {
        const { done, value } = iterator.next();
        isEnd = done === true;
        if (isEnd) return undefined;
        const item = current(context, value as CatalogueItem, limits, now); // it is not the end
        if (item === null || given.has(item)) continue;
        given.add(item);
        const score = context.popularity.weight(item.fields.item_id, now);
        return { item, score, rankScore: -Math.log(++place), reason: 'popular', movedBy: UNMOVED };
      }
    },
    ceiling: () => (isEnd && isAll ? -Infinity : -Math.log(place + 1)),
  };
}

/** The best of each group, then the second best of each, and so on, among those that fit; an item of several groups comes once. */
function* takeTurns(groups: readonly (readonly CatalogueItem[])[], fits: (item: CatalogueItem) => boolean): Generator<CatalogueItem> {
  const taken = new Set<CatalogueItem>();
  const left = groups.map((group) => group.values());
  for (let before = -1; taken.size > before;) {
    before = taken.size;
    for (const group of left) {
      const next = firstOf(group, (item) => !taken.has(item) && fits(item));
      if (next === undefined) continue;
      taken.add(next);
      yield next;
    }
  }
}

function firstOf<Value>(values: Iterator<Value>, fits: (value: Value) => boolean): Value | undefined {
  for (;;) {
    const { done, value } = values.next();
    if (done === true) return undefined;
    if (fits(value)) return value;
  }
}
