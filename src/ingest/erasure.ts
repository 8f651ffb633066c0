import type { Popularity } from '../signals/popularity.js';
import type { Erased, EventStore } from '../store/events.js';

/** Events dropped in one transaction; bounds how long other writes wait for it. */
const BATCH = 2000;
const DAY_MS = 24 * 3600 * 1000;

export interface ErasedUser {
  events: number;
  sequence: number;
  /** False: the files still hold what was erased. */
  filesPurged: boolean;
}

export interface Erasure {
  /**
   * Erases everything that is known of a user, one transaction after another. After a crash or an error between two transactions,
   * another call erases the rest. Resolves when the files are purged too, or after `waitMs`.
   * @throws ReelfuseError 503 `overloaded`
   */
  eraseUser(userId: string, waitMs: number): Promise<ErasedUser>;
  /** Drops events older than the retention; 0 days keep everything. @returns how many were dropped */
  expireEvents(retentionDays: number, now: number): Promise<number>;
}

export interface ErasureSetup {
  events: Pick<EventStore, 'eraseUser' | 'purgeErased' | 'expire'>;
  popularity: Pick<Popularity, 'remove' | 'addImpressions'>;
}

/** Erases events from the store and takes them out of popularity. */
export function createErasure({ events: store, popularity }: ErasureSetup): Erasure {
  const forget = (erased: Erased): Erased => {
    for (const { item_id: itemId, at } of erased.positives) popularity.remove(itemId, at);
    for (const itemId of erased.impressions) popularity.addImpressions(itemId, -1);
    return erased;
  };
  /** Repeats the step until it erases less than a batch. */
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
      return { ...erased, filesPurged: await store.purgeErased(waitMs) };
    },
    expireEvents: async (retentionDays, now) => {
      if (retentionDays === 0) return 0;
      return (await inSteps(() => store.expire(now - retentionDays * DAY_MS, BATCH))).events;
    },
  };
}
