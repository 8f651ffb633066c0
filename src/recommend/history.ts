import type { RecentRows } from '../catalog/histories.js';
import type { RecommendContext, RecommendRequest } from './request.js';

export interface History {
  /** Rows of items with a vector, oldest first, at most T, each once at its newest place. */
  rows: Int32Array;
  /** Whether the user or the request named any item at all. */
  isEmpty: boolean;
  /** Rows of what the user met and is not to get again. */
  met: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>;
  /** What the request lists as history or example, or excludes. */
  withheld: Set<string>;
}

export const NOTHING: ReadonlyMap<number, number> = new Map();
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
  const withheld = new Set(exclude);
  for (const named of [history, liked, disliked]) for (const itemId of named) withheld.add(itemId);
  if (near !== null) withheld.add(near);
  const recent = userId === null ? NOBODY : histories.of(userId);
  const rows = new Int32Array(length);
  let free = length; // filled from the right: newest first
  const given = history.length + liked.length === 0 ? [] : rowsOf(generation, [...history, ...liked]);
  const taken = without.length + given.length === 0 ? null : new Set(rowsOf(generation, without));
  for (const row of given) {
    if (free > 0 && catalogue.slotOfRow(row) >= 0 && taken?.has(row) !== true) rows[--free] = row;
    taken?.add(row);
  }
  for (const row of recent.positives) {
    if (free === 0) break;
    if (catalogue.slotOfRow(row) >= 0 && taken?.has(row) !== true) rows[--free] = row;
  }
  const isEmpty = recent.positives.length + history.length + liked.length === 0;
  return { rows: rows.subarray(free), isEmpty, met: metSince(recent, request, now), withheld };
}
