import type { ItemCounts } from './item-counts.js';

/** Half-lives between the origin and an event after which the origin is moved: the largest double is 2^1024. */
const MAX_HALF_LIVES = 512;

/** A weight for each item: its number of events, each halved with every half-life of its age. */
export interface DecayedWeights {
  add(itemId: string, at: number): void;
  /** Subtracts the weight of an event. */
  remove(itemId: string, at: number): void;
  /** For comparisons between items only. */
  relativeWeight(itemId: string): number;
  weight(itemId: string, now: number): number;
}

/**
 * Weights are kept relative to an origin, so that nothing has to be computed again as time passes.
 * @param counts decayed to `start`; changed by this object from here on
 * @param start milliseconds since 1970
 */
export function createDecayedWeights(counts: ItemCounts, start: number, halfLifeMs: number): DecayedWeights {
  let origin = start;
  const halfLives = (at: number): number => (at - origin) / halfLifeMs;
  /** What an event at this time adds, relative to the origin. */
  const decayedWeight = (at: number): number => 2 ** halfLives(at);
  const moveOrigin = (at: number): void => {
    counts.scale(2 ** -halfLives(at));
    origin = at;
  };
  return {
    add: (itemId, at) => {
      if (halfLives(at) > MAX_HALF_LIVES) moveOrigin(at);
      counts.set(itemId, counts.get(itemId) + decayedWeight(at));
    },
    remove: (itemId, at) => counts.set(itemId, counts.get(itemId) - decayedWeight(at)),
    relativeWeight: counts.get,
    weight: (itemId, now) => counts.get(itemId) * 2 ** -halfLives(now),
  };
}
