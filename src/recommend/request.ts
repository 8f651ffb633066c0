import type { Cap } from '../domain/caps.js';

/** A parsed request with its defaults. */
export interface RecommendRequest {
  userId: string | null;
  /** Item id: rank by similarity to this item; null: by the history. */
  similarTo: string | null;
  /** Item ids, oldest first; appended to the stored history of the user. */
  history: string[];
  /** History items that are left out. */
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
  /** Only items seen within this time are excluded; null: all seen items. */
  seenWithinMs: number | null;
  /** 0: by score alone, 1: by difference alone. */
  diversity: number;
  caps: Cap[];
  /** Field of which an answer holds each value once; null: none. */
  distinctBy: string | null;
  /** Greatest cosine of two items of an answer; null: any. */
  maxSimilarity: number | null;
  /** Each factor multiplies the odds of items that pass its filter. */
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
  /** Attribute whose values alternate in the fallback ranking; null: none. */
  fallbackMix: string | null;
  /** Options for the served log, as the caller sent them, without user and history. */
  loggedOptions: Record<string, unknown>;
}

export interface Experiment {
  name: string;
  /** One arm: assigned by the caller. Several: one is assigned by a stable hash of the user. */
  arms: { name: string; weight: number }[];
}

/** A request with defaults only. */
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
  distinctBy: null,
  maxSimilarity: null,
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

/** All caps of a request. */
export const capsOf = ({ caps, distinctBy }: Pick<RecommendRequest, 'caps' | 'distinctBy'>): readonly Cap[] =>
  distinctBy === null ? caps : [...caps, { field: distinctBy, max: 1 }];
