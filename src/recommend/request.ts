import type { CatalogueItem } from '../catalog/catalogue.js';
import type { Generation } from '../catalog/generation.js';
import type { Popularity } from '../catalog/popularity.js';
import type { Store } from '../store/store.js';

export interface RecommendRequest {
  userId: string | null;
  /** Item ids, oldest first; appended to the stored history when there is a user too. */
  history: string[];
  k: number;
  exclude: string[];
  /** Score the whole catalogue instead of asking HNSW. */
  exact: boolean;
  explain: boolean;
}

/** What the stages may use. */
export interface RecommendContext {
  store: Pick<Store, 'history' | 'seen'>;
  generation: Generation;
  popularity: Popularity;
  /** False until the catalogue is loaded: every answer is then a fallback. */
  isReady: () => boolean;
}

/** Why the fallback ranking answered. */
export type FallbackReason = 'no_history' | 'unknown_history' | 'starting';

/** `popular`: from the fallback ranking. */
export interface Recommended {
  item: CatalogueItem;
  score: number;
  reason: 'history' | 'popular' | 'similar';
}

export interface Contribution {
  item_id: string;
  contribution: number;
}

export interface Explanation {
  id_share: number | null;
  history: Contribution[];
  moved_by: string[];
}

export interface RecommendAnswer {
  items: Recommended[];
  explanations: Explanation[] | null;
  fallback: FallbackReason | null;
  shortReason: 'catalogue_exhausted' | null;
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

export const noTimings = (): Timings => ({ queue: 0, history: 0, user_tower: 0, search: 0, rules: 0, total: 0 });
