import { LRUCache } from 'lru-cache';
import type { RecentItems } from './store.js';

/** Users' recent items in memory: the database is asked again only after a change. */
export interface RecentCache {
  recent(userId: string): RecentItems;
  forget(userId: string): void;
  clear(): void;
}

/** @param maxItems of all users together, about 70 bytes each; 0 keeps nothing */
export function createRecentCache(read: (userId: string) => RecentItems, maxItems: number): RecentCache {
  if (maxItems === 0) return { recent: read, forget: () => undefined, clear: () => undefined };
  const cache = new LRUCache<string, RecentItems>({ maxSize: maxItems, sizeCalculation: ({ met }) => met.size + 1 });
  return {
    recent: (userId) => {
      const known = cache.get(userId);
      if (known !== undefined) return known;
      const found = read(userId);
      cache.set(userId, found);
      return found;
    },
    forget: (userId) => void cache.delete(userId),
    clear: () => cache.clear(),
  };
}
