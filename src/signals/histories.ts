import { LRUCache } from 'lru-cache';
import type { ItemInterner } from '../domain/item-interner.js';
import type { EventStore, RecentItems } from '../store/events.js';

/** RecentItems with indexes for ids. Shared between requests: not to be changed. */
export interface RecentIndexes {
  /** Newest first, each once. */
  positives: Int32Array;
  /** Index → when the item was last seen, milliseconds since 1970. */
  seen: ReadonlyMap<number, number>;
}

export interface Histories {
  of(userId: string): Promise<RecentIndexes>;
}

/**
 * Users' recent items in memory: the store is asked again only after a change.
 * @param maxItems of all users together, about 70 bytes each; 0 keeps nothing
 */
export function createHistories(events: Pick<EventStore, 'recent' | 'onUserChange'>, interner: ItemInterner, maxItems: number): Histories {
  const toIndexes = ({ positives, seen }: RecentItems): RecentIndexes => ({
    positives: Int32Array.from(positives, (itemId) => interner.indexOf(itemId)),
    seen: new Map(Array.from(seen, ([itemId, at]) => [interner.indexOf(itemId), at])),
  });
  if (maxItems === 0) return { of: async (userId) => toIndexes(await events.recent(userId)) };
  const cache = new LRUCache<string, RecentIndexes>({ maxSize: maxItems, sizeCalculation: ({ seen }) => seen.size + 1 });
  /** Number of changes so far. A read that began before a change may be stale. */
  let changes = 0;
  events.onUserChange((userId) => {
    changes++;
    if (userId === null) cache.clear();
    else cache.delete(userId);
  });
  return {
    of: async (userId) => {
      const known = cache.get(userId);
      if (known !== undefined) return known;
      const before = changes;
      const found = toIndexes(await events.recent(userId));
      if (changes === before) cache.set(userId, found);
      return found;
    },
  };
}
