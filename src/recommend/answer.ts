import type { Item } from '../domain/item.js';

/** Why the fallback ranking answered. */
export type FallbackReason = 'no_history' | 'unknown_history' | 'starting' | 'deadline';

/** Which option left fewer than k items. `catalogue_exhausted`: no option; there are no more items, or earlier pages have shown them. */
export type ShortReason = 'catalogue_exhausted' | 'filter' | 'caps' | 'near_duplicates' | 'min_score';

/** Why there is no further page; `session_full`: the cursor holds as many items as it can. */
export type EndReason = 'exhausted' | 'session_full';

/** Source of an item. `popular`: the fallback ranking. */
export type Reason = 'history' | 'popular' | 'similar' | 'exploration' | 'pinned';

export interface Recommended {
  readonly item: Item;
  /** Similarity divided by the temperature of the model. For `popular` the decayed number of positive events. */
  readonly score: number;
  readonly reason: Reason;
  /** Rules that changed the position of the item. */
  readonly movedBy: readonly string[];
  /** Probability with which an explored item was drawn; absent for other items. */
  readonly propensity?: number;
}

export const UNMOVED: readonly string[] = [];

export interface Contribution {
  item_id: string;
  contribution: number;
}

export interface Explanation {
  id_share: number | null;
  history: Contribution[];
  /** [L], share of each layer in the item vector; null: unknown; absent: not requested. */
  layers?: number[] | null;
  moved_by: readonly string[];
}

/** The part of a model that an answer names. */
export interface ServingModel {
  fingerprint: string;
  version: string;
  layer_weights: number[];
}

export interface RecommendAnswer {
  /** The server cannot tell whether items of it were deleted meanwhile. */
  isStale?: true;
  model: ServingModel;
  items: readonly Recommended[];
  explanations: Explanation[] | null;
  fallback: FallbackReason | null;
  shortReason: ShortReason | null;
  nextCursor: string | null;
  endReason: EndReason | null;
  arm: { name: string; arm: string } | null;
  /** Seed of the exploration; null: there was none. */
  seed: number | null;
  /** When the answer was begun, milliseconds since 1970. */
  at: number;
  /** Number of items that earlier pages have shown. */
  offset: number;
  /** Sequence of the newest change when the answer was begun. */
  sequence: number;
  timings: Timings;
}

/** Milliseconds. user_tower and search are those of the whole batch of the request. */
export interface Timings {
  queue: number;
  history: number;
  user_tower: number;
  search: number;
  rules: number;
  total: number;
}

export const STAGES = ['queue', 'history', 'user_tower', 'search', 'rules', 'total'] as const;
