import type { RecommendContext, RecommendRequest } from './request.js';

/** Positives read from the store for one request: more than T, because some may be unknown to the model. */
const STORED_HISTORY_FACTOR = 2;
/** Newest interactions that are never recommended again. */
const SEEN_LIMIT = 1000;

export interface History {
  /** Items with a vector, oldest first, at most T, each once at its newest place. */
  items: string[];
  /** Whether the user or the request named any item at all. */
  isEmpty: boolean;
  /** Never to be recommended: what the user met, what the request lists as history or example, what it excludes. */
  withheld: Set<string>;
}

export function collectHistory({ store, generation }: RecommendContext, request: RecommendRequest, now: number): History {
  const length = generation.artifact.manifest.max_history;
  const { catalogue } = generation;
  const { exclude, history, liked, disliked, without, near, userId } = request;
  const withheld = new Set([...exclude, ...history, ...liked, ...disliked]);
  if (near !== null) withheld.add(near);
  const newestFirst = [...history, ...liked].reverse();
  if (userId !== null) {
    if (request.excludeSeen) {
      const since = request.seenWithinMs === null ? 0 : now - request.seenWithinMs;
      for (const itemId of store.seen(userId, since, SEEN_LIMIT)) withheld.add(itemId);
    }
    for (const { item_id: itemId } of store.history(userId, length * STORED_HISTORY_FACTOR)) newestFirst.push(itemId);
  }
  const taken = new Set<string>(without);
  const items: string[] = [];
  for (const itemId of newestFirst) {
    if (items.length === length) break;
    const slot = catalogue.get(itemId)?.slot ?? null;
    if (slot === null || taken.has(itemId)) continue;
    taken.add(itemId);
    items.push(itemId);
  }
  return { items: items.reverse(), isEmpty: newestFirst.length === 0, withheld };
}
