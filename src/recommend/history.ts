import type { RecentRows } from '../signals/histories.js';
import type { RecommendContext, RecommendRequest } from './request.js';

export interface History {
  /** Rows of items with a vector, oldest first, at most T, each once at its newest place. */
  rows: readonly number[];
  /** Whether the user or the request named any item at all. */
  isEmpty: boolean;
  /** Rows of what the user met and is not to get again. */
  met: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>;
  /** What the request lists as history or example, or excludes. */
  withheld: ReadonlySet<string>;
}

export const NOTHING: ReadonlyMap<number, number> = new Map();
const NONE: ReadonlySet<string> = new Set();
const NOBODY: RecentRows = { positives: new Int32Array(0), met: NOTHING };

/** Of what the user met, the part that is not to be recommended. */
function metSince({ met }: RecentRows, { excludeSeen, seenWithinMs }: RecommendRequest, now: number): History['met'] {
  if (!excludeSeen) return NOTHING;
  return seenWithinMs === null ? met : new Map([...met].filter(([, at]) => at >= now - seenWithinMs));
}

/** Rows of these items, newest first; unknown ones are left out. */
function rowsOf({ catalogue }: RecommendContext['generation'], oldestFirst: readonly string[]): number[] {
  return oldestFirst
    .map((itemId) => catalogue.rows.find(itemId) ?? -1)
    .filter((row) => row >= 0)
    .reverse();
}

export function collectHistory({ histories, generation }: RecommendContext, request: RecommendRequest, now: number): History {
  const length = generation.artifact.manifest.max_history;
  const { catalogue } = generation;
  const { exclude, history, liked, disliked, without, near, userId } = request;
  const named = near === null ? [exclude, history, liked, disliked] : [exclude, history, liked, disliked, [near]];
  const recent = userId === null ? NOBODY : histories.of(userId);
  const rows: number[] = []; // newest first; a typed array of its own would cost each request more than it spares
  const given = history.length + liked.length === 0 ? [] : rowsOf(generation, [...history, ...liked]);
  const taken = without.length + given.length === 0 ? null : new Set(rowsOf(generation, without));
  for (const row of given) {
    if (rows.length < length && catalogue.slotOfRow(row) >= 0 && taken?.has(row) !== true) rows.push(row);
    taken?.add(row);
  }
  for (const row of recent.positives) {
    if (rows.length === length) break;
    if (catalogue.slotOfRow(row) >= 0 && taken?.has(row) !== true) rows.push(row);
  }
  const isEmpty = recent.positives.length + history.length + liked.length === 0;
  const withheld = named.some(({ length }) => length > 0) ? new Set(named.flat()) : NONE;
  return { rows: rows.reverse(), isEmpty, met: metSince(recent, request, now), withheld };
}
