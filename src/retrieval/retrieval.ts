import type { EligibilityRules } from '../domain/eligibility.js';
import type { Filter } from '../domain/filter.js';
import type { Item, ItemFields, StoredVector } from '../domain/item.js';

/** What to search by. Items are named by their index, see ItemInterner. */
export interface Query {
  /** Newest first, each once. The newest T that have a vector are embedded. Ignored where `similarTo` is given. */
  history: ArrayLike<number>;
  /** Search around this item's vector instead of a user's; null: by the history. */
  similarTo: number | null;
  /** Examples that the query moves away from. */
  disliked: readonly number[];
  /** Score every item that may be in the answer, with the user tower in full precision, instead of asking an approximate index. */
  exact: boolean;
  /** `scoresWithout` will be asked. */
  explain: boolean;
  /** `score` will be asked. */
  scoresOthers: boolean;
  /** Asked before work is begun: a search that nobody waits for any more is not made. */
  isLate(): boolean;
}

/** One candidate, not hydrated yet. */
export interface Candidate {
  /** The item's index, see ItemInterner. */
  index: number;
  /** Similarity over the model's temperature; around an item the similarity itself. */
  score: number;
}

/** Milliseconds that a stream has spent so far; those of a batch count for each request in it. */
export interface SearchTimings {
  /** Waiting for an engine, and the way there and back. */
  queue: number;
  user_tower: number;
  search: number;
}

/**
 * Candidates by falling score, more on demand. How the stream widens (over-fetch, a deeper walk, an exact scan, an engine's
 * next page) is the engine's business. It may return items that the rules forbid, and never one item twice.
 */
export interface CandidateStream {
  /**
   * Up to `count` further candidates; none: there are no more.
   * @param admits what the caps still admit, a hint for a wider search; null: everything
   * @throws ReelfuseError 503 `overloaded`; SearchEnded when the query is late, or has nothing to search by any more
   */
  next(count: number, admits: Filter | null): Promise<readonly Candidate[]>;
  /** What is still to come scores no more than this, as far as the engine can tell; -Infinity: nothing is to come. */
  upperBound(): number;
  /** The items that were embedded, oldest first; empty around an item. */
  readonly history: readonly number[];
  /** Scores of items from elsewhere by the same query; 0 where an item has no vector. */
  score(items: readonly Item[]): Promise<number[]>;
  /**
   * Leave-one-out: the score that each item would have without history item n, in the order of `history`. Empty where an item
   * has no vector, and for a history of one item.
   */
  scoresWithout(items: readonly Item[]): Promise<number[][]>;
  readonly timings: Readonly<SearchTimings>;
}

/** The search came to nothing: its request is late, or every item that it was to search by is gone. */
export class SearchEnded extends Error {}

/** A change of one item, in the order of the change feed. */
export type IndexChange =
  | { kind: 'put'; fields: ItemFields; created: number; stored: StoredVector | null }
  /** Keeps the vector. */
  | { kind: 'fields'; fields: ItemFields }
  | { kind: 'delete'; itemId: string };

/** The vectors of one model, searched and kept up to date. One folder an engine. */
export interface Retrieval {
  /**
   * Opens a stream with its first `count` candidates.
   * @returns null when there is nothing to search by: no item of the history, or not the similar one, has a vector
   * @throws ReelfuseError 503 `overloaded`; SearchEnded
   */
  search(query: Query, rules: EligibilityRules, count: number): Promise<CandidateStream | null>;
  /** The items as they are now, in the order asked for; undefined: gone. */
  hydrate(named: readonly { readonly index: number }[]): Promise<readonly (Item | undefined)[]>;
  /** The same by id; undefined: there is no such item. */
  find(itemIds: readonly string[]): Promise<readonly (Item | undefined)[]>;
  /** [n, d], scaled as the similarity compares them (to length 1 for cosine); zeros where an item has no vector. */
  vectors(items: readonly Item[]): Promise<Float32Array>;
  /**
   * Fields and deletions hold for every request from this call on; resolves when every search finds the items by their new
   * vectors and none finds what is gone.
   * @returns ids of `fields` changes whose item is not known here: it has to be put
   */
  apply(changes: readonly IndexChange[]): Promise<{ unknown: string[] }>;
  close(): Promise<void>;
}
