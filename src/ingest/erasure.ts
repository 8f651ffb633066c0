import type { ChangeFeed } from '../store/changes.js';
import type { Erased, EventStore } from '../store/events.js';
import type { KeyValueStore } from '../store/key-values.js';

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
  /**
   * Drops events whose time is older than the retention, and those that came before it: a time may be unknown or wrong, the sequence is
   * not. 0 days keep everything. @returns how many were dropped
   */
  expireEvents(retentionDays: number, now: number): Promise<number>;
}

export interface ErasureSetup {
  events: Pick<EventStore, 'eraseUser' | 'purgeErased' | 'expire'>;
  changes: Pick<ChangeFeed, 'sequence'>;
  /** Resolves when no server answers without this change any more. */
  inEffect: (sequence: number) => Promise<void>;
  keyValues: Pick<KeyValueStore, 'get' | 'set'>;
}

/** Erases events from the store, in steps. */
export function createErasure({ events: store, changes, inEffect, keyValues }: ErasureSetup): Erasure {
  /** Repeats the step until it erases less than a batch. */
  const inSteps = async (step: () => Promise<Erased>): Promise<{ events: number; sequence: number }> => {
    let total = 0;
    for (;;) {
      const { events, sequence } = await step();
      total += events;
      if (events < BATCH) return { events: total, sequence };
    }
  };
  return {
    eraseUser: async (userId, waitMs) => {
      const erased = await inSteps(() => store.eraseUser(userId, BATCH));
      await inEffect(erased.sequence);
      return { ...erased, filesPurged: await store.purgeErased(waitMs) };
    },
    expireEvents: async (retentionDays, now) => {
      if (retentionDays === 0) return 0;
      const before = now - retentionDays * DAY_MS;
      const upTo = await arrivedBefore(before, now, changes.sequence, keyValues);
      return (await inSteps(() => store.expire({ from: DAY_MS, before, upTo }, BATCH))).events; // 1 January 1970 is no time, see UNKNOWN_TIME
    },
  };
}

/** Which change was the newest at which time, noted once a day, oldest first. */
type Arrival = [sequence: number, at: number];
const ARRIVALS_KEY = 'event_arrivals';

/** Notes the newest change of today. @returns the newest change that was noted before this time; 0: none was */
async function arrivedBefore(before: number, now: number, newest: number, keyValues: Pick<KeyValueStore, 'get' | 'set'>): Promise<number> {
  const arrivals = JSON.parse((await keyValues.get(ARRIVALS_KEY)) ?? '[]') as Arrival[];
  const last = arrivals.at(-1);
  if (last === undefined || now - last[1] >= DAY_MS) arrivals.push([newest, now]);
  const past = arrivals.filter(([, at]) => at < before);
  await keyValues.set(ARRIVALS_KEY, JSON.stringify(arrivals.slice(Math.max(0, past.length - 1))));
  return past.at(-1)?.[0] ?? 0;
}
