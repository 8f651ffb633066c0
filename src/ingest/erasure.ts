import type { Erased, Store } from '../store/store.js';
import type { Popularity } from '../signals/popularity.js';

/** Events dropped in one transaction; bounds how long other writes, and this thread, wait behind it. */
const BATCH = 2000;
const DAY_MS = 24 * 3600 * 1000;

export interface Erasure {
  /**
   * Everything that is known of a user, in steps: after a crash or an error between them the rest is still there, for another call.
   * Resolves when it is gone from the files, too, or after `waitMs` with `isGone` false.
   */
  eraseUser(userId: string, waitMs: number): Promise<{ events: number; sequence: number; isGone: boolean }>;
  /** Drops events older than the retention; 0 days keep everything. @returns how many were dropped */
  expireEvents(retentionDays: number, now: number): Promise<number>;
}

export function createErasure(store: Pick<Store, 'eraseUser' | 'cleanFiles' | 'expireEvents'>, popularity: Popularity): Erasure {
  const forget = (erased: Erased): Erased => {
    for (const { item_id: itemId, at } of erased.positives) popularity.remove(itemId, at);
    for (const itemId of erased.impressions) popularity.show(itemId, -1);
    return erased;
  };
  /** Until a step finds less than it may take. */
  const inSteps = async (step: () => Promise<Erased>): Promise<{ events: number; sequence: number }> => {
    let total = 0;
    for (;;) {
      const { events, sequence } = forget(await step());
      total += events;
      if (events < BATCH) return { events: total, sequence };
    }
  };
  return {
    eraseUser: async (userId, waitMs) => {
      const erased = await inSteps(() => store.eraseUser(userId, BATCH));
      return { ...erased, isGone: await store.cleanFiles(waitMs) };
    },
    expireEvents: async (retentionDays, now) => {
      if (retentionDays === 0) return 0;
      return (await inSteps(() => store.expireEvents(now - retentionDays * DAY_MS, BATCH))).events;
    },
  };
}
