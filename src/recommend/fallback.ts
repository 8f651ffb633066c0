import type { CatalogueItem } from '../catalog/catalogue.js';
import type { Candidate, RecommendContext } from './request.js';
import { isAllowed, type Limits } from './rules.js';

/** Going through the catalogue for every request would be too dear. */
const RANKING_AGE_MS = 1000;

/**
 * The first `wanted` allowed items of the fallback ranking: popular with time decay, every fifth place the freshest;
 * the score is the decayed number of positive events. Candidates are ordered by -ln(place), so that a boost means the
 * same as it does to a model's logits.
 */
export function rankFallback(
  { generation, popularity }: Pick<RecommendContext, 'generation' | 'popularity'>,
  limits: Limits,
  wanted: number,
  mixBy: string | null,
  now: number,
): { candidates: Candidate[]; isExhausted: boolean } {
  const { catalogue } = generation;
  let items: CatalogueItem[] = [];
  for (const { fields } of popularity.ranking(catalogue, now, RANKING_AGE_MS).mixed) {
    if (items.length === wanted) break;
    // the ranking may be of a moment ago: what was deleted, hidden or replaced since must not slip through
    const current = catalogue.get(fields.item_id);
    if (current !== undefined && isAllowed(current, limits, now)) items.push(current);
  }
  // what is rarer than the ranking is long, or was shown or put in the last moment
  if (items.length < wanted) items = popularity.best(catalogue, now, wanted, (item) => isAllowed(item, limits, now));
  const isExhausted = items.length < wanted;
  const candidates = (mixBy === null ? items : takeTurns(items, mixBy)).map((item, place): Candidate => {
    const score = popularity.weight(item.fields.item_id, now);
    return { item, score, rankScore: -Math.log(place + 1), reason: 'popular', movedBy: [] };
  });
  return { candidates, isExhausted };
}

/** The best of each value of the attribute, then the second best of each, and so on; items without it form a group too. */
function takeTurns(items: readonly CatalogueItem[], attribute: string): CatalogueItem[] {
  const groups = new Map<unknown, CatalogueItem[]>();
  for (const item of items) {
    const value = item.fields.attributes[attribute];
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [item]);
    else group.push(item);
  }
  const turns: CatalogueItem[] = [];
  for (let turn = 0; turns.length < items.length; turn++) for (const group of groups.values()) turns.push(...group.slice(turn, turn + 1));
  return turns;
}
