import { NOTHING_SEEN, type EligibilityRules } from '../domain/eligibility.js';
import { CLOCK_TOLERANCE_MS } from '../domain/item.js';
import type { RecentIndexes } from '../signals/histories.js';
import type { RecommendContext } from './context.js';
import type { RecommendRequest } from './request.js';

export interface History {
  /** Item indexes of the positives, newest first, each once. */
  newestFirst: ArrayLike<number>;
  /** Whether neither the user nor the request has named an item. */
  isEmpty: boolean;
  /** Items that the user has seen and must not get again. */
  seen: EligibilityRules['seen'];
}

export const NOBODY: RecentIndexes = { positives: new Int32Array(0), seen: NOTHING_SEEN };

/** Joins the stored history of the user with the items of the request, which count as newer. At once unless the request names items. */
export function collectHistory(
  recent: RecentIndexes,
  request: RecommendRequest,
  retrieval: RecommendContext['retrieval'],
  now: number,
): History | Promise<History> {
  const { history, liked, without } = request;
  const { positives } = recent;
  const given = [...history, ...liked];
  const isEmpty = positives.length + given.length === 0;
  const seen = seenSince(recent, request, now);
  if (given.length + without.length === 0) return { newestFirst: positives, isEmpty, seen };
  return merge(retrieval, given, without, positives).then((newestFirst) => ({ newestFirst, isEmpty, seen }));
}

/** Seen items that the request excludes. */
function seenSince({ seen }: RecentIndexes, { excludeSeen, seenWithinMs }: RecommendRequest, now: number): EligibilityRules['seen'] {
  if (!excludeSeen) return NOTHING_SEEN;
  if (seenWithinMs === null) return seen;
  // a time far ahead was written by a clock that was wrong, and says as little as none
  return new Map([...seen].filter(([, at]) => at >= now - seenWithinMs && at <= now + CLOCK_TOLERANCE_MS));
}

/** @param given ids of the request, oldest first; unknown ones are left out */
async function merge(
  retrieval: RecommendContext['retrieval'],
  given: readonly string[],
  without: readonly string[],
  stored: Int32Array,
): Promise<number[]> {
  const indexesOf = async (itemIds: readonly string[]): Promise<number[]> => (await retrieval.find(itemIds)).flatMap((item) => item?.index ?? []);
  const left = new Set(await indexesOf(without));
  const newest = new Set((await indexesOf(given)).reverse());
  for (const index of stored) newest.add(index);
  return [...newest].filter((index) => !left.has(index));
}
