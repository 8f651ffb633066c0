/** The store is the truth: items with their hidden states, events, and derived vectors by fingerprint. */

export interface HiddenStates {
  dtype: 'float16' | 'float32';
  /** [L, D] */
  shape: [number, number];
  /** Little-endian, row-major. */
  data: Uint8Array;
}

/** Times are milliseconds since 1970, UTC. */
export interface ItemFields {
  item_id: string;
  title: string | null;
  author_id: string | null;
  attributes: Record<string, unknown>;
  available_from: number | null;
  expires_at: number | null;
  hidden: boolean;
}

export interface StoredItem extends ItemFields {
  created_at: number;
  updated_at: number;
  sequence: number;
}

export interface StoredVector {
  /** [d], float32, not normalised */
  vector: Float32Array;
  id_share: number;
}

export interface ItemWrite {
  item: ItemFields;
  hiddenStates: HiddenStates | null;
  /** One for each generation; those of other fingerprints are dropped: they were fused from older hidden states. */
  vectors: (StoredVector & { fingerprint: string })[];
}

export interface EventWrite {
  event_id: string;
  user_id: string;
  item_id: string;
  type: string;
  at: number;
  watch_ms: number | null;
  duration_ms: number | null;
  /** Watched share of the clip; above 1 when it looped. */
  watch_portion: number | null;
  recommendation_id: string | null;
  /** Whether the event makes its item part of the user's history. */
  positive: boolean;
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
  /** When each item was last met in any way but an impression, milliseconds since 1970; the positives are among them. */
  met: ReadonlyMap<string, number>;
}

export interface PositiveEvent {
  sequence: number;
  item_id: string;
  at: number;
  recommendation_id: string | null;
}

export interface ItemWritten {
  sequence: number;
  created: boolean;
  /** When the item was created, by this write or an earlier one. */
  created_at: number;
}

export interface EventsWritten {
  /** One for each event, in order: false = its event_id was known already. */
  accepted: boolean[];
  /** Of the newest event of this call, or of the store when all were duplicates. */
  sequence: number;
}

/** An artifact that was verified once. */
export interface ModelRecord {
  fingerprint: string;
  folder: string;
  /** model.json */
  manifest: string;
  registered_at: number;
}

/** The answer to a request with an Idempotency-Key. */
export interface KeptAnswer {
  key: string;
  /** Of the request's body. */
  digest: string;
  status: number;
  answer: string;
  created_at: number;
}

/** What an erasure took out of the store; popularity has to let go of the positives and impressions. */
export interface Erased {
  events: number;
  positives: { item_id: string; at: number }[];
  /** Items of the impressions, one entry each. */
  impressions: string[];
  sequence: number;
}

export interface ItemWithVector extends StoredItem {
  stored: StoredVector | null;
  has_hidden_states: boolean;
}

/** Writes resolve when they are durable (fsync); each is applied whole or not at all. Reads see every resolved write. */
export interface Store {
  putItem(write: ItemWrite): Promise<ItemWritten>;
  /** Changes the fields and keeps hidden states and vectors. Null when there is no such item. */
  updateItem(item: ItemFields): Promise<ItemWritten | null>;
  /** Null when there is no such item. */
  deleteItem(itemId: string): Promise<{ sequence: number } | null>;
  /** Idempotent by event_id; all events of one call become visible together. @throws ReelfuseError 503 `overloaded` */
  appendEvents(events: EventWrite[]): Promise<EventsWritten>;
  /**
   * Up to `limit` events of a user; fewer when nothing else is known of it. No read finds them when this resolves; the files are clean when
   * `cleanFiles` says so.
   * @throws ReelfuseError 503 `overloaded`
   */
  eraseUser(userId: string, limit: number): Promise<Erased>;
  /**
   * True when what was erased before this call is gone from the files, too; false when it is not after so many milliseconds, because
   * somebody reads an older state. It is tried on until it is, and other writes go on.
   */
  cleanFiles(timeoutMs: number): Promise<boolean>;
  /** Drops up to `limit` events older than `before`, oldest first. */
  expireEvents(before: number, limit: number): Promise<Erased>;
  saveVectors(fingerprint: string, vectors: (StoredVector & { item_id: string })[]): Promise<void>;
  /** Drops up to `limit` vectors of all fingerprints but these. */
  dropVectors(keep: string[], limit: number): Promise<{ dropped: number }>;
  /** A fingerprint that is known gets the new folder. */
  registerModel(model: ModelRecord): Promise<void>;
  /** Also drops some of those that were kept before the given time. */
  keepAnswer(answer: KeptAnswer, dropBefore: number): Promise<void>;
  setMeta(key: string, value: string): Promise<void>;

  meta(key: string): string | null;
  keptAnswer(key: string): KeptAnswer | null;
  /** Of the newest change. */
  sequence(): number;
  /** Of the newest change to an item; events do not count. */
  itemSequence(): number;
  /** Resolves to true when this change is visible, to false when it is not after so many milliseconds. */
  reached(sequence: number, timeoutMs: number): Promise<boolean>;
  item(itemId: string): StoredItem | null;
  hiddenStates(itemId: string): HiddenStates | null;
  hasHiddenStates(itemId: string): boolean;
  /** By item_id, after the given one. */
  items(after: string | null, limit: number): StoredItem[];
  countItems(): number;
  /** Items by item_id, after the given one, with their vectors of this fingerprint where there are any. */
  itemsWithVectors(fingerprint: string, after: string | null, limit: number): ItemWithVector[];
  /** The same for these items; unknown ones are left out. */
  itemsWithVectorsOf(fingerprint: string, itemIds: readonly string[]): ItemWithVector[];
  /** Oldest first. */
  models(): ModelRecord[];
  /** Newest positives of a user, newest first. */
  history(userId: string, limit: number): HistoryEntry[];
  /** At least the newest thousand items that the user met, unless they took more than 16,000 events; and those of the newest thousand positives. */
  recent(userId: string): RecentItems;
  /** The listener hears whose events have changed, before the change resolves; null: anybody's. */
  onUserChange(listener: (userId: string | null) => void): void;
  /** How often each item was shown to the user since that time. */
  impressions(userId: string, since: number): { item_id: string; shown: number }[];
  /** How often each item was shown to anybody; `is_item` 0: there is no such item. */
  impressionCounts(): Iterable<{ item_id: string; shown: number; is_item: number }>;
  /** Positive events since that time, by sequence after the given one. */
  positives(since: number, after: number, limit: number): PositiveEvent[];
  /** Users by user_id after the given one, with their number of positives. */
  users(after: string | null, limit: number): { user_id: string; events: number }[];
  /** Σ 2^((at - origin) / halfLife) over the positive events of each item; `is_item` 0: there is no such item. */
  popularity(origin: number, halfLifeMs: number): Iterable<{ item_id: string; weight: number; is_item: number }>;
  close(): Promise<void>;
}
