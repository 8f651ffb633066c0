import { LRUCache } from 'lru-cache';
import type { RecentItems, Store } from '../store/store.js';
import type { ItemRows } from '../domain/item-interner.js';

/** `RecentItems` with rows for ids. Shared between requests: not to be changed. */
export interface RecentRows {
  /** Newest first, each once. */
  positives: Int32Array;
  /** Row → when the item was last met, milliseconds since 1970. */
  met: ReadonlyMap<number, number>;
}

export interface Histories {
  of(userId: string): RecentRows;
}

/**
 * Users' recent items in memory: the store is asked again only after a change.
 * @param maxItems of all users together, about 70 bytes each; 0 keeps nothing
 */
export function createHistories(store: Pick<Store, 'recent' | 'onUserChange'>, rows: ItemRows, maxItems: number): Histories {
  const toRows = ({ positives, met }: RecentItems): RecentRows => ({
    positives: Int32Array.from(positives, (itemId) => rows.rowOf(itemId)),
    met: new Map(Array.from(met, ([itemId, at]) => [rows.rowOf(itemId), at])),
  });
  if (maxItems === 0) return { of: (userId) => toRows(store.recent(userId)) };
  const cache = new LRUCache<string, RecentRows>({ maxSize: maxItems, sizeCalculation: ({ met }) => met.size + 1 });
  store.onUserChange((userId) => {
    if (userId === null) cache.clear();
    else cache.delete(userId);
  });
  return {
    of: (userId) => {
      const known = cache.get(userId);
      if (known !== undefined) return known;
      const found = toRows(store.recent(userId));
      cache.set(userId, found);
      return found;
    },
  };
}
