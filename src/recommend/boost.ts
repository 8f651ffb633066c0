import { publishedAt, type Item } from '../domain/item.js';
import type { RecommendContext } from './context.js';
import type { RankedItem } from './source.js';
import type { RecommendRequest } from './request.js';
import type { ParsedRules } from './rules.js';

export interface Boost {
  /** Returns the candidate with its gains added to `rankScore`. */
  apply(candidate: RankedItem): RankedItem;
  /** Upper bound of the gain of any candidate. */
  maxGain: number;
}

export const isBoosted = ({ boosts, freshness, rotation }: RecommendRequest): boolean => boosts.length > 0 || freshness !== null || rotation !== null;

/**
 * Boosts by filters, freshness and rotation. Scores are logits of the model's softmax, so a factor on the odds is a logarithm added to
 * the score: a factor of 2 doubles the odds against any other item. The freshness gain halves with each half-life of the item's age.
 * The rotation gain applies once for each impression of the item by the user within the window.
 * @param now milliseconds since 1970
 * @returns null when nothing is boosted
 */
export async function createBoost(
  { events }: Pick<RecommendContext, 'events'>,
  { freshness, rotation, userId }: RecommendRequest,
  { boosts }: ParsedRules,
  now: number,
): Promise<Boost | null> {
  const shown = rotation === null || userId === null ? [] : await events.impressions(userId, now - rotation.withinMs);
  const timesShown = new Map(shown.map(({ item_id: itemId, shown: times }) => [itemId, times]));
  if (boosts.length === 0 && freshness === null && timesShown.size === 0) return null;
  const rotationGain = Math.log(rotation?.factor ?? 1);
  const freshnessGain = Math.log(freshness?.factor ?? 1);
  let mostShown = 0;
  for (const times of timesShown.values()) mostShown = Math.max(mostShown, times);
  const mostBoosts = boosts.reduce((sum, { gain }) => sum + Math.max(0, gain), 0);
  return {
    maxGain: mostBoosts + Math.max(0, freshnessGain) + Math.max(0, rotationGain) * mostShown,
    apply: (candidate) => {
      const { item } = candidate;
      let gained = 0;
      const movedBy = [...candidate.movedBy];
      const gain = (amount: number, name: string): void => {
        gained += amount;
        movedBy.push(name);
      };
      for (const { matches, gain: amount, name } of boosts) if (matches(item)) gain(amount, name);
      if (freshness !== null) gain(freshnessGain * 2 ** (-ageOf(item, now) / freshness.halfLifeMs), 'freshness');
      const times = timesShown.get(item.fields.item_id);
      if (times !== undefined) gain(rotationGain * times, 'rotation');
      return { ...candidate, rankScore: candidate.rankScore + gained, movedBy };
    },
  };
}

/** Milliseconds since the publication of the item; Infinity: it is not known. */
function ageOf(item: Item, now: number): number {
  const published = publishedAt(item, now);
  return published === null ? Infinity : Math.max(0, now - published);
}
