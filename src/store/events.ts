import type { UserEvent } from '../domain/event.js';

export interface EventsWritten {
  /** [events], in order; false: the event_id was known already. */
  accepted: boolean[];
  /** Sequence of the newest event of this call; of the store when all were duplicates. */
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
  /** When each item was last seen, milliseconds since 1970: its newest event that is not an impression. Positives are included. */
  seen: ReadonlyMap<string, number>;
}

export interface PositiveEvent {
  sequence: number;
  item_id: string;
  at: number;
  recommendation_id: string | null;
}

/** What an erasure has removed from the store. */
export interface Erased {
  events: number;
  /** Its sequence; of the newest change of the store when nothing was erased. */
  sequence: number;
}

/** What events add to the counts of items, or what erased events take away from them. */
export interface CountChange {
  isErased: boolean;
  /** Items of the positives, with the time of each. */
  positives: readonly { item_id: string; at: number }[];
  /** Items of the impressions, one entry each. */
  impressions: readonly string[];
}

/** Events whose time lies in [from, before), and all up to a sequence. */
export interface OldEvents {
  from: number;
  before: number;
  upTo: number;
}

/** A sum over the events of an item id; `is_item` is 0 when the store has no such item, else 1. */
export interface ItemTotal {
  item_id: string;
  total: number;
  is_item: number;
}

/** The weight of the positive events of an item id. */
export interface ItemWeight extends ItemTotal {
  /** Time of the newest event. */
  newest: number;
  /** Σ 2^((at - newest) / halfLife) */
  total: number;
}

/** Events of users. A write resolves when it is durable; reads see every write that has resolved. */
export interface EventStore {
  /** Idempotent by event_id; all events of one call become visible together. @throws ReelfuseError 503 `overloaded`, 507 `storage_full` */
  append(events: readonly UserEvent[]): Promise<EventsWritten>;
  /**
   * Erases up to `limit` events of a user; fewer when the user has no more. When this resolves, no read finds them; the files still
   * hold them until `purgeErased` resolves to true. @throws ReelfuseError 503 `overloaded`
   */
  eraseUser(userId: string, limit: number): Promise<Erased>;
  /** Drops up to `limit` old events, oldest first. */
  expire(old: OldEvents, limit: number): Promise<Erased>;
  /**
   * Removes everything erased before this call from the files. Resolves to true when that is done; to false after `timeoutMs`,
   * because a reader holds an older state. The attempts go on until one succeeds. Other writes do not wait.
   */
  purgeErased(timeoutMs: number): Promise<boolean>;
  /** Newest positives of a user, newest first. */
  history(userId: string, limit: number): Promise<HistoryEntry[]>;
  /**
   * The newest 1,000 items that the user has seen, or all of the newest 16,000 events if they name fewer, and the items of the
   * newest 1,000 positives.
   */
  recent(userId: string): Promise<RecentItems>;
  /** Number of impressions of each item by the user since a time, milliseconds since 1970. */
  impressions(userId: string, since: number): Promise<{ item_id: string; shown: number }[]>;
  /** Positive events since a time, by sequence, after the given sequence. */
  positives(since: number, after: number, limit: number): Promise<PositiveEvent[]>;
  /** Users by user_id after the given one, with their number of positives. */
  users(after: string | null, limit: number): Promise<{ user_id: string; events: number }[]>;
  /**
   * Weights of all items with positive events, in pages. An event after `now` was written while a clock was ahead: it counts as of the
   * newest time before it by sequence that is not after `now`, or as of `now` where there is none.
   */
  popularity(now: number, halfLifeMs: number): AsyncIterable<readonly ItemWeight[]>;
  /** Number of impressions of each item by all users, in pages. */
  impressionCounts(): AsyncIterable<readonly ItemTotal[]>;
  /** Calls the listener with the user whose events have changed, before the write resolves; null: those of any user may have. */
  onUserChange(listener: (userId: string | null) => void): void;
  /**
   * Calls the listener with what each event, and each erasure, changes in the counts of items: of all that come after what `popularity`
   * and `impressionCounts` say when they are called in the same turn of the event loop, each once.
   */
  onCount(listener: (change: CountChange) => void): void;
}

/** What new events add to the counts of items. */
export const countsOfEvents = (events: readonly Pick<UserEvent, 'item_id' | 'type' | 'at' | 'positive'>[]): CountChange => ({
  isErased: false,
  positives: events.filter(({ positive }) => positive).map(({ item_id, at }) => ({ item_id, at })),
  impressions: events.filter(({ type }) => type === 'impression').map(({ item_id: itemId }) => itemId),
});
