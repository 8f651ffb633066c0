import type { Item } from '../domain/item.js';

/** Why the fallback ranking answered. */
export type FallbackReason = 'no_history' | 'unknown_history' | 'starting' | 'deadline';

/** Which option left fewer than k items; `catalogue_exhausted`: none, there are no more, or earlier pages have shown them. */
export type ShortReason = 'catalogue_exhausted' | 'filter' | 'caps' | 'min_score';

/** Why there is no further page; `session_full`: the cursor holds as many items as it can. */
export type EndReason = 'exhausted' | 'session_full';

/** `popular`: from the fallback ranking. */
export type Reason = 'history' | 'popular' | 'similar' | 'exploration' | 'pinned';

export interface Recommended {
  readonly item: Item;
  /** Of the model: similarity over temperature. For `popular` the decayed number of positive events. */
  readonly score: number;
  readonly reason: Reason;
  /** Rules that changed the item's place. */
  readonly movedBy: readonly string[];
  /** Of an explored item: the probability that it was chosen among the eligible ones. */
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
  /** Share of each layer in the item's vector; only when asked for. */
  layers?: number[] | null;
  moved_by: readonly string[];
}

/** What an answer names of its model. */
export interface ServingModel {
  fingerprint: string;
  version: string;
  layer_weights: number[];
}

export interface RecommendAnswer {
  model: ServingModel;
  items: readonly Recommended[];
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
