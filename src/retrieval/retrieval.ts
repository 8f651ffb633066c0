import type { EligibilityRules } from '../domain/eligibility.js';
import type { Filter } from '../domain/filter.js';
import type { Item, ItemFields, StoredVector } from '../domain/item.js';

/** What to search by. Items are given by their index, see ItemInterner. */
export interface Query {
  /** Newest first, each once. The newest `max_history` items with a vector are embedded. Ignored when `similarTo` is given. */
  history: ArrayLike<number>;
  /** Search by the vector of this item; null: by the user vector of the history. */
  similarTo: number | null;
  /** Examples that the query moves away from. */
  disliked: readonly number[];
  /** Score every allowed item with the user tower in full precision, instead of searching an approximate index. */
  exact: boolean;
  /** Whether `scoresWithout` will be called. */
  explain: boolean;
  /** Whether `score` will be called. */
  scoresOthers: boolean;
  /** Called before the search begins; true ends it, because the request no longer waits for it. */
  isLate(): boolean;
}

/** One candidate, not hydrated yet. */
export interface Candidate {
  /** The item's index, see ItemInterner. */
  index: number;
  /** Similarity divided by the temperature of the model; with `similarTo` the similarity itself. */
  score: number;
}

/** Milliseconds of all rounds of a stream so far. Each request of a batch counts the whole batch. */
export interface SearchTimings {
  /** Waiting for an engine, including messages to and from it. */
  queue: number;
  user_tower: number;
  search: number;
}

/**
 * Candidates by falling score, more on demand. Each engine decides how to find more: over-fetch, a deeper graph search, an exact scan,
 * or a next page. A stream may return items that the rules forbid, but no item twice.
 */
export interface CandidateStream {
  /**
   * Up to `count` further candidates; empty: there are no more.
   * @param admits what the caps still admit: an engine may keep all else for a later call with null, whatever its score; null: everything
   * @throws ReelfuseError 503 `overloaded`; SearchEnded when the query is late, or has nothing to search by any more
   */
  next(count: number, admits: Filter | null): Promise<readonly Candidate[]>;
  /** Upper bound of the scores of later candidates of the last call's `admits`, as far as the engine knows; -Infinity: there are none. */
  upperBound(): number;
  /** Indexes of the embedded history items, oldest first; empty with `similarTo`. */
  readonly history: readonly number[];
  /** [items], scores of other items by the same query; 0 for an item without a vector. */
  score(items: readonly Item[]): Promise<number[]>;
  /**
   * Leave-one-out, [items, history]: the score of each item without history item n, in the order of `history`. Empty for an item without
   * a vector, and for a history of one item.
   */
  scoresWithout(items: readonly Item[]): Promise<number[][]>;
  readonly timings: Readonly<SearchTimings>;
}

/** The search has ended without a result: its request is late, or every item to search by was deleted. */
export class SearchEnded extends Error {}

/** A change of one item, in the order of the change feed. */
export type IndexChange =
  | { kind: 'put'; fields: ItemFields; created: number; stored: StoredVector | null }
  /** Replaces the fields and keeps the vector. */
  | { kind: 'fields'; fields: ItemFields }
  | { kind: 'delete'; itemId: string };

/** Searches the vectors of one model and applies changes to them. Each engine is one folder. */
export interface Retrieval {
  /**
   * Opens a stream with its first `count` candidates.
   * @returns null when there is nothing to search by: no item of the history, or not the similar one, has a vector
   * @throws ReelfuseError 503 `overloaded`; SearchEnded
   */
  search(query: Query, rules: EligibilityRules, count: number): Promise<CandidateStream | null>;
  /** The items as they are now, in the order of the indexes; undefined: deleted. */
  hydrate(named: readonly { readonly index: number }[]): Promise<readonly (Item | undefined)[]>;
  /** The items as they are now, in the order of the ids; undefined: there is no such item. */
  find(itemIds: readonly string[]): Promise<readonly (Item | undefined)[]>;
  /** [items, d], scaled as the similarity compares them (to length 1 for cosine); zeros for an item without a vector. */
  vectors(items: readonly Item[]): Promise<Float32Array>;
  /**
   * Applies changes. Fields and deletions are in effect for every request after this call. Resolves when every search finds the items by
   * their new vectors and none finds deleted items.
   * @returns ids of `fields` changes whose item is not known here; they need a `put`
   */
  apply(changes: readonly IndexChange[]): Promise<{ unknown: string[] }>;
  close(): Promise<void>;
}
