import { attributeName } from '../domain/attributes.js';
import { isEligible, isShownEarlier, type EligibilityRules } from '../domain/eligibility.js';
import { matcherOf, type Filter } from '../domain/filter.js';
import type { Item } from '../domain/item.js';
import { RANKING_AGE_MS } from '../signals/popularity.js';
import { UNMOVED } from './answer.js';
import type { RecommendContext } from './context.js';
import type { ItemSource, RankedItem } from './source.js';

/** Items of one search beyond the ranking, where caps may refuse many. */
const MAX_REST = 10_000;

type Context = Pick<RecommendContext, 'catalogue' | 'popularity' | 'retrieval' | 'now'>;

/**
 * The fallback ranking: popular items with time decay, and the freshest item at every fifth position. The score is the decayed number
 * of positive events. `rankScore` is -ln(position), so that a boost has the same meaning as for a model's logits. After the end of the
 * ranking, the best of all other eligible items follow.
 * @param mixBy attribute whose values alternate; null: none
 */
export async function popularItems(context: Context, rules: EligibilityRules, mixBy: string | null): Promise<ItemSource> {
  const { catalogue, popularity } = context;
  const now = context.now();
  const returned = new Set<number>();
  const shown: Item[] = [];
  const isFit = (item: Item): boolean => !returned.has(item.index) && isEligible(item, rules, now);
  let position = 0;
  let left = (await ranking(context, now, mixBy, isFit))[Symbol.iterator]();
  let isRest = false;
  let isEnd = false;

  /** The next items of the ranking, checked as they are now: they may have been deleted, hidden or replaced since it was computed. */
  const take = async (count: number): Promise<RankedItem[]> => {
    const named: Item[] = [];
    while (named.length < count) {
      const { done, value } = left.next();
      if (done === true) {
        isEnd = isRest;
        break;
      }
      named.push(value);
    }
    const items = await context.retrieval.hydrate(named);
    const ranked: RankedItem[] = [];
    for (const item of items) {
      if (item === undefined) continue;
      if (!isFit(item)) {
        if (isShownEarlier(item, rules)) shown.push(item);
        continue;
      }
      returned.add(item.index);
      const score = popularity.weight(item.fields.item_id);
      ranked.push({ item, score, rankScore: -Math.log(++position), reason: 'popular', movedBy: UNMOVED });
    }
    return named.length > 0 && ranked.length === 0 ? take(count) : ranked;
  };

  const searchRest = async (count: number, admits: Filter | null): Promise<void> => {
    const isAdmitted = admits === null ? null : matcherOf(admits);
    const limit = admits === null ? count : MAX_REST;
    const rest = await popularity.best(catalogue.all, now, limit, (item) => isFit(item) && (isAdmitted === null || isAdmitted(item)));
    left = rest[Symbol.iterator]();
    isRest = admits === null && rest.length < limit;
  };

  return {
    shown,
    next: async (count, admits) => {
      const page = await take(count);
      if (page.length > 0 || isEnd) return page;
      await searchRest(count, admits);
      return take(count);
    },
    upperBound: () => (isEnd ? -Infinity : -Math.log(position + 1)),
  };
}

async function ranking(
  { catalogue, popularity }: Context,
  now: number,
  mixBy: string | null,
  isFit: (item: Item) => boolean,
): Promise<Iterable<Item>> {
  if (mixBy === null) return popularity.ranking(catalogue.all, now, RANKING_AGE_MS).mixed;
  return takeTurns(await popularity.byValue(catalogue.all, now, attributeName(mixBy), RANKING_AGE_MS), isFit);
}

/** The best fitting item of each group, then the second best of each, and so on. An item of several groups comes once. */
function* takeTurns(groups: readonly (readonly Item[])[], fits: (item: Item) => boolean): Generator<Item> {
  const taken = new Set<Item>();
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
