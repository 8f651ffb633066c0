import type { RecommendContext, RecommendRequest } from './request.js';

/** Positives read from the store for one request: more than T, because some may be unknown to the model. */
const STORED_HISTORY_FACTOR = 2;
/** Newest items met that are never recommended again. */
const SEEN_LIMIT = 1000;
/** Events looked at for each item that is wanted, at most. */
const EVENTS_FACTOR = 16;

export interface History {
  /** Items with a vector, oldest first, at most T, each once at its newest place. */
  items: string[];
  /** Whether the user or the request named any item at all. */
  isEmpty: boolean;
  /** Never to be recommended: what the user met, what the request lists as history or example, what it excludes. */
  withheld: Set<string>;
}

/** One item may have many events: goes further back until there are enough different items. */
function newestOf<Event>(wanted: number, read: (limit: number) => Event[], itemOf: (event: Event) => string): Event[] {
  for (let limit = wanted; ; limit *= 4) {
    const events = read(limit);
    if (events.length < limit || limit >= wanted * EVENTS_FACTOR || new Set(events.map(itemOf)).size >= wanted) return events;
  }
}

export function collectHistory({ store, generation }: RecommendContext, request: RecommendRequest, now: number): History {
  const length = generation.artifact.manifest.max_history;
  const { catalogue } = generation;
  const { exclude, history, liked, disliked, without, near, userId } = request;
  const withheld = new Set([...exclude, ...history, ...liked, ...disliked]);
  if (near !== null) withheld.add(near);
  const newestFirst = [...history, ...liked].reverse();
  if (userId !== null) {
    const since = !request.excludeSeen ? Infinity : request.seenWithinMs === null ? 0 : now - request.seenWithinMs;
    if (request.excludeSeen) {
      const seen = newestOf(
        SEEN_LIMIT,
        (limit) => store.seen(userId, since, limit),
        (itemId) => itemId,
      );
      for (const itemId of seen) withheld.add(itemId);
    }
    const positives = newestOf(
      length * STORED_HISTORY_FACTOR,
      (limit) => store.history(userId, limit),
      (entry) => entry.item_id,
    );
    for (const { item_id: itemId, at } of positives) {
      newestFirst.push(itemId);
      if (at >= since) withheld.add(itemId); // may be older than what was met lately
    }
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
