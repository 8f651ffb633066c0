export interface ServedItem {
  item_id: string;
  score: number;
  reason: string;
  propensity?: number;
  moved_by?: readonly string[];
}

/** One answer as it was given. It names no user: only the events that name its id can tell who got it. */
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
  /** Newest change of the store when the answer was begun: events that name the answer are newer. */
  sequence: number;
  /** Options of the request that shaped the answer. */
  request: Record<string, unknown>;
}

/**
 * What was served, for replay and for judging it by later events. An answer is not held up by it: a crash may lose the entries
 * of its last moment.
 */
export interface ServedLog {
  /** Returns at once; the entry is written in the background. @returns the recommendation id */
  append(entry: ServedEntry): string;
  /** Those of many ids; unknown, expired and lost ones are left out. */
  read(ids: Iterable<string>): Promise<Map<string, ServedEntry>>;
  /** The first entry of the hour of this time, or of the next hour that has any. */
  first(at: number): Promise<ServedEntry | null>;
  /** Drops the entries of hours that ended before. */
  expire(before: number): Promise<void>;
  close(): Promise<void>;
}
