import { countCaps, type Cap, type CapCounter } from '../domain/caps.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { chooseDiverse } from './diversify.js';
import type { RankedItem } from './source.js';

/** Diversity chooses from this many times k candidates, … */
const CHOICE_FACTOR = 5;
/** … and compares each chosen item with this many at most. */
export const MAX_CHOICE = 1000;

/** The first k within the caps. @param caps counts them */
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

/** Null: nothing is capped. @param factor each maximum times this */
export const counterOf = (caps: readonly Cap[], factor = 1): CapCounter | null => (caps.length === 0 ? null : countCaps(caps, factor));

/**
 * Up to k candidates within the caps, as different from each other as `diversity` asks for.
 * @param first what `chooseFirst` has chosen: an item that stands elsewhere was moved by diversity
 */
export async function chooseApart(
  candidates: readonly RankedItem[],
  first: readonly RankedItem[],
  { k, caps, diversity }: { k: number; caps: readonly Cap[]; diversity: number },
  retrieval: Pick<Retrieval, 'vectors'>,
): Promise<RankedItem[]> {
  // some of each value more than the caps let through, so that there are k in the end and still a choice
  const choice = chooseFirst(candidates, Math.max(k, Math.min(k * CHOICE_FACTOR, MAX_CHOICE)), counterOf(caps, CHOICE_FACTOR));
  const counter = counterOf(caps);
  const chosen = await chooseDiverse(choice, k, diversity, counter, await retrieval.vectors(choice.map(({ item }) => item)));
  const taken = new Set(chosen);
  const rest = candidates.filter((candidate) => !taken.has(candidate));
  return [...chosen, ...chooseFirst(rest, k - chosen.length, counter)].map((candidate, position) =>
    first[position] === candidate ? candidate : { ...candidate, movedBy: [...candidate.movedBy, 'diversity'] },
  );
}
