import { countCaps, type Cap, type CapCounter } from '../domain/caps.js';
import type { Item } from '../domain/item.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { chooseDiverse } from './diversify.js';
import type { RankedItem } from './source.js';

/** Diversity chooses from k times this number of candidates. */
const CHOICE_FACTOR = 5;
/** Maximum number of candidates that diversity compares with each chosen item. */
export const MAX_CHOICE = 1000;

/** The first k candidates within the caps. @param caps counts the chosen items; null: nothing is capped */
export function chooseFirst(candidates: readonly RankedItem[], k: number, caps: CapCounter | null): RankedItem[] {
  if (caps === null) return candidates.slice(0, k);
  const chosen: RankedItem[] = [];
  for (const candidate of candidates) {
    if (chosen.length === k) break;
    if (!caps.admits(candidate.item)) continue;
    caps.count(candidate.item);
    chosen.push(candidate);
  }
  return chosen;
}

/** The first candidates within the caps and the other rules for items that are in one answer. @param before chosen already */
export type Choose = (candidates: readonly RankedItem[], count: number, caps: CapCounter | null, before: readonly Item[]) => Promise<RankedItem[]>;

const chooseSome: Choose = async (candidates, count, caps) => chooseFirst(candidates, count, caps);

/** A counter of the caps; null: nothing is capped. @param factor multiplies the maximum of each cap */
export const counterOf = (caps: readonly Cap[], factor = 1): CapCounter | null => (caps.length === 0 ? null : countCaps(caps, factor));

/**
 * Chooses up to k candidates within the caps by maximal marginal relevance, see diversify.ts.
 * @param first the choice of `chooseFirst`: an item at another position was moved by diversity
 */
export async function chooseApart(
  candidates: readonly RankedItem[],
  first: readonly RankedItem[],
  { k, caps, diversity }: { k: number; caps: readonly Cap[]; diversity: number },
  retrieval: Pick<Retrieval, 'vectors'>,
  choose: Choose = chooseSome,
): Promise<RankedItem[]> {
  // more items of each value than the caps admit, so that diversity has a choice and still finds k
  const choice = await choose(candidates, Math.max(k, Math.min(k * CHOICE_FACTOR, MAX_CHOICE)), counterOf(caps, CHOICE_FACTOR), []);
  const counter = counterOf(caps);
  const chosen = await chooseDiverse(choice, k, diversity, counter, await retrieval.vectors(choice.map(({ item }) => item)));
  const taken = new Set(chosen);
  const rest = candidates.filter((candidate) => !taken.has(candidate));
  const filling = await choose(
    rest,
    k - chosen.length,
    counter,
    chosen.map(({ item }) => item),
  );
  return [...chosen, ...filling].map((candidate, position) =>
    first[position] === candidate ? candidate : { ...candidate, movedBy: [...candidate.movedBy, 'diversity'] },
  );
}
