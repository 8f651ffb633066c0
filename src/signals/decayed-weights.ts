import type { ItemCounts } from './item-counts.js';

/** What is left of a weight after a removal counts as a rounding error below this share of the removed event. */
const RESIDUE = 1e-9;

/** A weight for each item: its number of events, each halved with every half-life of its age. */
export interface DecayedWeights {
  /** Events of the future count as of now. */
  add(itemId: string, at: number): void;
  /** Subtracts the weight of an event. */
  remove(itemId: string, at: number): void;
  /** For comparisons between items only; -Infinity: no event. */
  relativeWeight(itemId: string): number;
  /** As of now; 0 also where it is too small for a number. */
  weight(itemId: string): number;
}

/**
 * Weights are kept as logarithms: nothing has to be computed again as time passes, and no event is too old or too new to be counted.
 * @param weights log2 of the weights as of `origin`, made with -Infinity for nothing; changed by this object from here on
 * @param origin milliseconds since 1970
 * @param now must never run back
 */
export function createDecayedWeights(weights: ItemCounts, origin: number, halfLifeMs: number, now: () => number): DecayedWeights {
  const halfLives = (at: number): number => (at - origin) / halfLifeMs;
  /** log2 of what an event at this time adds. */
  const gainOf = (at: number): number => halfLives(Math.min(at, now()));
  return {
    add: (itemId, at) => weights.set(itemId, log2Sum(weights.get(itemId), gainOf(at))),
    remove: (itemId, at) => {
      const gain = gainOf(at);
      const left = log2Difference(weights.get(itemId), gain);
      weights.set(itemId, left - gain < Math.log2(RESIDUE) ? -Infinity : left);
    },
    relativeWeight: weights.get,
    weight: (itemId) => 2 ** (weights.get(itemId) - halfLives(now())),
  };
}

/** log2(2^a + 2^b); b is finite. */
function log2Sum(a: number, b: number): number {
  const greater = Math.max(a, b);
  return greater + Math.log1p(2 ** (Math.min(a, b) - greater)) / Math.LN2;
}

/** log2(2^a - 2^b); -Infinity where b is not less than a. */
const log2Difference = (a: number, b: number): number => (a <= b ? -Infinity : a + Math.log1p(-(2 ** (b - a))) / Math.LN2);
