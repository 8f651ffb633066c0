import type { Cap } from '../domain/caps.js';

/** A caller's request, parsed and with its defaults. */
export interface RecommendRequest {
  userId: string | null;
  /** Search around this item instead of a user. */
  similarTo: string | null;
  /** Item ids, oldest first; appended to the stored history when there is a user too. */
  history: string[];
  /** History items that are left out: what would be recommended without them? */
  without: string[];
  /** Examples: appended to the history as if just watched. */
  liked: string[];
  /** Examples that the query moves away from. */
  disliked: string[];
  k: number;
  /** As sent; parsed against the attributes of the generation that answers. */
  filter: unknown;
  exclude: string[];
  excludeSeen: boolean;
  /** Only what was seen within this time is excluded; null: whenever. */
  seenWithinMs: number | null;
  /** 0: by score alone, 1: by difference alone. */
  diversity: number;
  caps: Cap[];
  /** Items that pass have the odds of being chosen multiplied. */
  boosts: { filter: unknown; factor: number }[];
  freshness: { halfLifeMs: number; factor: number } | null;
  rotation: { withinMs: number; factor: number } | null;
  /** 1-based positions in the answer. */
  pins: { itemId: string; position: number }[];
  minScore: number | null;
  exploration: { slots: number; seed: number | null } | null;
  /** Score the whole catalogue instead of asking an approximate index. */
  exact: boolean;
  explain: boolean;
  explainLayers: boolean;
  deadlineMs: number | null;
  atLeastSequence: number | null;
  cursor: string | null;
  experiment: Experiment | null;
  /** The fallback ranking takes turns between the values of this attribute. */
  fallbackMix: string | null;
  /** Options that shape the answer, as the caller has sent them, for the log of what was served: no user, no items of a history. */
  loggedOptions: Record<string, unknown>;
}

export interface Experiment {
  name: string;
  /** One arm: the caller has assigned it. Several: one of them is assigned by a stable hash of the user. */
  arms: { name: string; weight: number }[];
}

export const plainRequest = (k: number): RecommendRequest => ({
  userId: null,
  similarTo: null,
  history: [],
  without: [],
  liked: [],
  disliked: [],
  k,
  filter: null,
  exclude: [],
  excludeSeen: true,
  seenWithinMs: null,
  diversity: 0,
  caps: [],
  boosts: [],
  freshness: null,
  rotation: null,
  pins: [],
  minScore: null,
  exploration: null,
  exact: false,
  explain: false,
  explainLayers: false,
  deadlineMs: null,
  atLeastSequence: null,
  cursor: null,
  experiment: null,
  fallbackMix: null,
  loggedOptions: {},
});
