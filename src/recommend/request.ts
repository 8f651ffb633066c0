import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { Filter } from '../domain/filter.js';
import type { Generation } from '../generations/generation.js';
import type { Histories } from '../signals/histories.js';
import type { Popularity } from '../signals/popularity.js';
import type { Store } from '../store/store.js';
import type { Cursors } from './cursors.js';

/** At most `max` items of each value of a field; items without the field do not count. */
export interface Cap {
  field: string;
  max: number;
}

export interface RecommendRequest {
  userId: string | null;
  /** Search around this item instead of a user. */
  near: string | null;
  /** Item ids, oldest first; appended to the stored history when there is a user too. */
  history: string[];
  /** History items that are left out: what would be recommended without them? */
  without: string[];
  /** Examples: appended to the history as if just watched. */
  liked: string[];
  /** Examples that the query moves away from. */
  disliked: string[];
  k: number;
  /** As sent; compiled against the attributes of the generation that answers. */
  filter: unknown;
  exclude: string[];
  excludeSeen: boolean;
  /** Only what was seen lately is excluded; null: whenever. */
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
  /** Score the whole catalogue instead of asking HNSW. */
  exact: boolean;
  explain: boolean;
  explainLayers: boolean;
  deadlineMs: number | null;
  atLeastSequence: number | null;
  cursor: string | null;
  experiment: Experiment | null;
  /** The fallback ranking takes turns between the values of this attribute. */
  fallbackMix: string | null;
  /** The wishes that shape the answer as the caller has sent them, for the log of what was served: no user, no items of a history. */
  wishes: Record<string, unknown>;
}

export interface Experiment {
  name: string;
  /** One arm: the caller has assigned it. Several: one of them is assigned by a stable hash of the user. */
  arms: { name: string; weight: number }[];
}

export const plainRequest = (k: number): RecommendRequest => ({
  userId: null,
  near: null,
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
  wishes: {},
});

/** What the stages may use. */
export interface RecommendContext {
  store: Pick<Store, 'impressions' | 'hiddenStates' | 'sequence' | 'reached'>;
  generation: Generation;
  popularity: Popularity;
  histories: Histories;
  cursors: Cursors;
  /** A new item is explored until it was shown so often, and while it is younger than this. */
  exploration: { budget: number; maxAgeMs: number };
  /** False until the catalogue is loaded: every answer is then a fallback. */
  isReady: () => boolean;
}

/** Why the fallback ranking answered. */
export type FallbackReason = 'no_history' | 'unknown_history' | 'starting' | 'deadline';

/** Which of the caller's wishes left fewer than k items; `catalogue_exhausted`: none, there are no more, or pages have shown them. */
export type ShortReason = 'catalogue_exhausted' | 'filter' | 'caps' | 'min_score';

/** Why there is no further page; `session_full`: the cursor holds as many items as it can. */
export type EndReason = 'exhausted' | 'session_full';

/** `popular`: from the fallback ranking. */
export type Reason = 'history' | 'popular' | 'similar' | 'exploration' | 'pinned';

export interface Recommended {
  item: CatalogueItem;
  /** Of the model: similarity over temperature. For `popular` the decayed number of positive events. */
  score: number;
  reason: Reason;
  /** Rules that changed the item's place. */
  movedBy: readonly string[];
  /** Of an explored item: the probability that it was chosen among the eligible ones. */
  propensity?: number;
}

export const UNMOVED: readonly string[] = [];

/** A recommended item with what it is ordered by. */
export interface Candidate extends Recommended {
  rankScore: number;
}

export interface Contribution {
  item_id: string;
  contribution: number;
}

export interface Explanation {
  id_share: number | null;
  history: Contribution[];
  /** Share of each layer in the item's vector; only when asked for. */
  layers?: number[] | null;
  moved_by: readonly string[];
}

export interface RecommendAnswer {
  items: Recommended[];
  explanations: Explanation[] | null;
  fallback: FallbackReason | null;
  shortReason: ShortReason | null;
  nextCursor: string | null;
  endReason: EndReason | null;
  arm: { name: string; arm: string } | null;
  /** Of the exploration, when there was one. */
  seed: number | null;
  /** Items that earlier pages have shown. */
  offset: number;
  /** Newest change of the store when the answer was begun. */
  sequence: number;
  timings: Timings;
}

/** Milliseconds. user_tower and search are those of the batch that the request was part of. */
export interface Timings {
  queue: number;
  history: number;
  user_tower: number;
  search: number;
  rules: number;
  total: number;
}

export const STAGES = ['queue', 'history', 'user_tower', 'search', 'rules', 'total'] as const;

export const noTimings = (): Timings => ({ queue: 0, history: 0, user_tower: 0, search: 0, rules: 0, total: 0 });

/** The caller's filters and boosts, ready to be asked. */
export interface Compiled {
  filter: Filter | null;
  boosts: { test: Filter['test']; gain: number; name: string }[];
}
