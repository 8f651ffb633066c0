import type { UserEvent } from '../domain/event.js';

export interface EventsWritten {
  /** One for each event, in order; false: its event_id was known already. */
  accepted: boolean[];
  /** Of the newest event of this call, or of the store when all were duplicates. */
  sequence: number;
}

export interface HistoryEntry {
  item_id: string;
  type: string;
  at: number;
}

/** What requests need to know of a user. */
export interface RecentItems {
  /** Items of positive events, newest first, each once. */
  positives: readonly string[];
  /** When each item was last seen in any way but an impression, milliseconds since 1970; the positives are among them. */
  seen: ReadonlyMap<string, number>;
}

export interface PositiveEvent {
  sequence: number;
  item_id: string;
  at: number;
  recommendation_id: string | null;
}

/** What an erasure took out of the store; popularity has to let go of the positives and impressions. */
export interface Erased {
  events: number;
  positives: { item_id: string; at: number }[];
  /** Items of the impressions, one entry each. */
  impressions: string[];
  sequence: number;
}

/** A number for an item id; `is_item` 0: there is no such item. */
export interface ItemTotal {
  item_id: string;
  total: number;
  is_item: number;
}

/** What users did. A write resolves when it is durable; reads see every write that has resolved. */
export interface EventStore {
  /** Idempotent by event_id; all events of one call become visible together. @throws ReelfuseError 503 `overloaded`, 507 `storage_full` */
  append(events: readonly UserEvent[]): Promise<EventsWritten>;
  /**
   * Erases up to `limit` events of a user; fewer when no others are known. No read finds them when this resolves; the files
   * are clean when `purgeErased` says so. @throws ReelfuseError 503 `overloaded`
   */
  eraseUser(userId: string, limit: number): Promise<Erased>;
  /** Drops up to `limit` events older than `before`, oldest first. */
  expire(before: number, limit: number): Promise<Erased>;
  /**
   * True when everything erased before this call is gone from the files too; false when it is not after `timeoutMs`, because a
   * reader holds an older state. The attempt goes on until it succeeds; other writes are not held up.
   */
  purgeErased(timeoutMs: number): Promise<boolean>;
  /** Newest positives of a user, newest first. */
  history(userId: string, limit: number): Promise<HistoryEntry[]>;
  /**
   * The newest 1,000 items that the user has seen, or all of the newest 16,000 events if they name fewer, and the items of the
   * newest 1,000 positives.
   */
  recent(userId: string): Promise<RecentItems>;
  /** How often each item was shown to the user since that time. */
  impressions(userId: string, since: number): Promise<{ item_id: string; shown: number }[]>;
  /** Positive events since that time, by sequence after the given one. */
  positives(since: number, after: number, limit: number): Promise<PositiveEvent[]>;
  /** Users by user_id after the given one, with their number of positives. */
  users(after: string | null, limit: number): Promise<{ user_id: string; events: number }[]>;
  /** Σ 2^((at - origin) / halfLife) over the positive events of each item, in pages. */
  popularity(origin: number, halfLifeMs: number): AsyncIterable<readonly ItemTotal[]>;
  /** How often each item was shown to anybody, in pages. */
  impressionCounts(): AsyncIterable<readonly ItemTotal[]>;
  /** The listener hears whose events have changed, before the write resolves; null: anybody's. */
  onUserChange(listener: (userId: string | null) => void): void;
}
