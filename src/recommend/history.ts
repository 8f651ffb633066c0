import type { RecentItems } from '../store/store.js';
import type { RecommendContext, RecommendRequest } from './request.js';

export interface History {
  /** Items with a vector, oldest first, at most T, each once at its newest place. */
  items: string[];
  /** Whether the user or the request named any item at all. */
  isEmpty: boolean;
  /** What the user met and is not to get again. */
  met: Pick<ReadonlyMap<string, unknown>, 'has' | 'size'>;
  /** What the request lists as history or example, or excludes. */
  withheld: Set<string>;
}

export const NOTHING: ReadonlyMap<string, number> = new Map();
const NOBODY: RecentItems = { positives: [], met: NOTHING };

/** Of what the user met, the part that is not to be recommended. */
function metSince({ met }: RecentItems, { excludeSeen, seenWithinMs }: RecommendRequest, now: number): History['met'] {
  if (!excludeSeen) return NOTHING;
  return seenWithinMs === null ? met : new Map([...met].filter(([, at]) => at >= now - seenWithinMs));
}

export function collectHistory({ store, generation }: RecommendContext, request: RecommendRequest, now: number): History {
  const length = generation.artifact.manifest.max_history;
  const { catalogue } = generation;
  const { exclude, history, liked, disliked, without, near, userId } = request;
  const withheld = new Set([...exclude, ...history, ...liked, ...disliked]);
  if (near !== null) withheld.add(near);
  const recent = userId === null ? NOBODY : store.recent(userId);
  const items: string[] = [];
  const taken = new Set(without);
  const takeAll = (newestFirst: readonly string[], areDistinct: boolean): void => {
    for (const itemId of newestFirst) {
      if (items.length === length) return;
      if (taken.has(itemId) || (catalogue.get(itemId)?.slot ?? null) === null) continue;
      if (!areDistinct) taken.add(itemId);
      items.push(itemId);
    }
  };
  takeAll([...history, ...liked].reverse(), false);
  takeAll(recent.positives, true);
  const isEmpty = recent.positives.length + history.length + liked.length === 0;
  return { items: items.reverse(), isEmpty, met: metSince(recent, request, now), withheld };
}
