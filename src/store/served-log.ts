export interface ServedItem {
  item_id: string;
  score: number;
  reason: string;
  propensity?: number;
  moved_by?: readonly string[];
}

/** One answer as it was given. It names no user; only events that name its id link it to one. */
export interface ServedEntry {
  at: number;
  fingerprint: string;
  version: string;
  k: number;
  items: ServedItem[];
  fallback: string | null;
  short_reason: string | null;
  experiment: { name: string; arm: string } | null;
  seed: number | null;
  /** Items that earlier pages of the same cursor had shown. */
  offset: number;
  /** Newest change of the store when the answer was begun. Events that name the answer have greater sequences. */
  sequence: number;
  /** Options of the request that shaped the answer. */
  request: Record<string, unknown>;
}

/**
 * Log of served answers, for replay and for the quality report. An answer does not wait for its entry: a crash may lose the newest
 * entries.
 */
export interface ServedLog {
  /** Returns at once; the entry is written in the background. @returns the recommendation id */
  append(entry: ServedEntry): string;
  /** Entries by id; unknown, expired and lost ones are left out. */
  read(ids: Iterable<string>): Promise<Map<string, ServedEntry>>;
  /** The first entry of the hour of this time (milliseconds since 1970), or of the next hour that has entries. */
  first(at: number): Promise<ServedEntry | null>;
  /** Drops the entries of hours that ended before this time. */
  expire(before: number): Promise<void>;
  close(): Promise<void>;
}
