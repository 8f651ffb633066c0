import { bornAt } from '../signals/popularity.js';
import type { Candidate, Compiled, RecommendContext, RecommendRequest } from './request.js';

/** Null: nothing is boosted. */
export type Boost = {
  /** Adds to what the candidate is ordered by. */
  lift: (candidate: Candidate) => void;
  /** No candidate gains more than this. */
  most: number;
} | null;

/**
 * Scores are logits of the model's softmax, so a factor on the odds is a logarithm added to the score: 2 makes an item
 * twice as likely against any other. Freshness decays with the item's age; rotation counts once for each time that the
 * item was shown to the user lately.
 */
export function createBoost(
  { store }: Pick<RecommendContext, 'store'>,
  { freshness, rotation, userId }: RecommendRequest,
  { boosts }: Compiled,
  now: number,
): Boost {
  if (boosts.length === 0 && freshness === null && rotation === null) return null;
  const shown = rotation === null || userId === null ? [] : store.impressions(userId, now - rotation.withinMs);
  const timesShown = new Map(shown.map(({ item_id: itemId, shown: times }) => [itemId, times]));
  if (boosts.length === 0 && freshness === null && timesShown.size === 0) return null;
  const rotationGain = Math.log(rotation?.factor ?? 1);
  const freshnessGain = Math.log(freshness?.factor ?? 1);

  const gain = (candidate: Candidate, amount: number, name: string): void => {
    candidate.rankScore += amount;
    candidate.movedBy = [...candidate.movedBy, name];
  };
  let mostShown = 0;
  for (const times of timesShown.values()) mostShown = Math.max(mostShown, times);
  const mostBoosts = boosts.reduce((sum, { gain: amount }) => sum + Math.max(0, amount), 0);
  return {
    most: mostBoosts + Math.max(0, freshnessGain) + Math.max(0, rotationGain) * mostShown,
    lift: (candidate) => {
      const { item } = candidate;
      for (const { test, gain: amount, name } of boosts) if (test(item)) gain(candidate, amount, name);
      if (freshness !== null) gain(candidate, freshnessGain * 2 ** (-Math.max(0, now - bornAt(item)) / freshness.halfLifeMs), 'freshness');
      const times = timesShown.get(item.fields.item_id);
      if (times !== undefined) gain(candidate, rotationGain * times, 'rotation');
    },
  };
}
