import type { KnownAttribute } from '../../domain/attribute-registry.js';
import type { UserEvent } from '../../domain/event.js';
import { overloaded } from '../../errors.js';
import type { Metrics } from '../../metrics.js';
import { packageFile } from '../../package-root.js';
import { countsOfEvents, type CountChange, type EventsWritten } from '../events.js';
import type { ItemWritten } from '../items.js';
import type { Stores } from '../stores.js';
import { readRegistry } from './attribute-rows.js';
import { createAttributeStore } from './attribute-store.js';
import { openChangeFeed, type PostgresFeed } from './change-feed.js';
import { trimChanges, UnknownOriginError } from './changes-table.js';
import { openDatabase, type Database } from './database.js';
import { createEventMonths } from './event-months.js';
import { prepareEventReads } from './event-reads.js';
import { appendEvents, countsOfErasure, eraseUser, expireEvents, type Appended, type ErasedNow } from './event-writes.js';
import { prepareItemReads, prepareVectorReads } from './item-reads.js';
import { inTransaction, itemIdOf, newestOfEach, saveVectors, type ItemOperation } from './item-writes.js';
import { createLane, type Outcome } from './lane.js';
import { migrate } from './migrate.js';
import { adoptOrigin, identityOf } from './origin.js';
import { createIdempotencyStore, createKeyValueStore, createModelStore } from './setting-store.js';
import { openWakeUp } from './wake-up.js';

const MAX_ITEMS = 500;
const MAX_EVENTS = 1000;
const EVENT_TRANSACTIONS = 2;
/** Time that the acknowledgement of a durable write waits for the change feed of this server, ms; a foreign transaction may hold the feed up. */
const SETTLE_MS = 10_000;
const SETTLE_EVENTS_MS = 100;
const FEED_CONNECTIONS = 2;
const FEED_TIMEOUT_MS = 5000;

export interface PostgresSetup {
  url: string;
  metrics: Pick<Metrics, 'rejected' | 'commitSeconds' | 'commitSize'>;
  /** Maximum number of events that wait for the database; more are refused. Infinity: no limit. */
  maxEventQueue?: number;
  maxConnections?: number;
  onTrouble?: (error: Error | null) => void;
  /** Changes other than events have settled. */
  onSettled?: () => void;
  /** Another server of PostgreSQL has taken over: what this process has in memory may be gone. */
  onOtherOrigin?: () => void;
}

export interface PostgresStores extends Stores {
  database: Database;
  /** Connections that many writes do not occupy. */
  feedDatabase: Database;
  feed: PostgresFeed;
  /** Names the database, and the server that hands out its transaction ids: sequences of another one mean nothing. */
  identity: string;
  /** Removes changes that every server has read long ago. */
  trim(): Promise<void>;
}

/**
 * Opens the stores on PostgreSQL. Any number of servers may have them open; each follows the changes of all.
 * @throws InputError when the database is of a newer version or not fit; ReelfuseError 503 `database_unavailable`
 */
export async function openPostgresStores(setup: PostgresSetup): Promise<PostgresStores> {
  const {
    url,
    metrics,
    maxEventQueue = Infinity,
    maxConnections,
    onTrouble = () => undefined,
    onOtherOrigin = () => undefined,
    onSettled = () => undefined,
  } = setup;
  let trouble: Error | null = null;
  const database = openDatabase({ url, suspended: () => trouble, ...(maxConnections !== undefined && { maxConnections }) });
  // connections of its own: it tells whether the database can be used, also when many writes wait for theirs
  const feedDatabase = openDatabase({ url, maxConnections: FEED_CONNECTIONS, statementTimeoutMs: FEED_TIMEOUT_MS });
  const close = async (): Promise<void> => {
    await database.close();
    await feedDatabase.close();
  };
  try {
    await migrate(database, packageFile('migrations', 'postgres'));
    await adoptOrigin(database);
    return await openParts();
  } catch (error) {
    await close();
    throw error;
  }

  async function openParts(): Promise<PostgresStores> {
    const userListeners: ((userId: string | null) => void)[] = [];
    const attributeListeners: ((name: string, known: KnownAttribute | null) => void)[] = [];
    /** Events and erasures of this server, which its listeners have heard of before the feed brings them. */
    const ownEvents = new Set<string>();
    const ownErasures = new Set<number>();
    const countListeners: ((change: CountChange) => void)[] = [];
    const tellCounts = (change: CountChange): void => {
      for (const listener of countListeners) listener(change);
    };
    const tellUser = (userId: string | null): void => {
      for (const listener of userListeners) listener(userId);
    };
    const feed = await openChangeFeed(feedDatabase, {
      onEvents: (events) => {
        tellCounts(countsOfEvents(events));
        for (const { event_id: id, user_id: userId } of events) if (!ownEvents.delete(id)) tellUser(userId);
      },
      onChanges: async (changes, before) => {
        for (const { kind, detail } of changes) if (kind === 'erasure' && detail !== null) tellCounts(countsOfErasure(detail, before));
        for (const { sequence, kind, key } of changes) if (kind === 'erasure' && !ownErasures.delete(sequence)) tellUser(key === '' ? null : key);
        const names = changes.filter(({ kind }) => kind === 'attribute').map(({ key }) => key);
        if (names.length > 0) await tellAttributes(names);
      },
      onTrouble: (error) => {
        if (error === null && trouble === null) return;
        trouble = error;
        onTrouble(error);
      },
      onOtherOrigin,
      onSettled,
    });
    const tellAttributes = async (names: readonly string[]): Promise<void> => {
      const known = new Map(
        (await feedDatabase.transaction((statements) => readRegistry(statements, names))).map((attribute) => [attribute.name, attribute]),
      );
      for (const name of new Set(names)) for (const listener of attributeListeners) listener(name, known.get(name) ?? null);
    };
    const wakeUp = openWakeUp(feedDatabase, () => void feed.look());
    const settle = async (sequence: number, timeoutMs: number): Promise<void> => {
      wakeUp.notify();
      await feed.settled(sequence, timeoutMs);
    };
    const timed = async <Value>(operations: number, work: () => Promise<Value>): Promise<Value> => {
      const stop = metrics.commitSeconds.startTimer();
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof UnknownOriginError)) throw error;
        await adoptOrigin(database);
        return await work();
      } finally {
        stop();
        metrics.commitSize.observe(operations);
      }
    };

    const itemLane = createLane<ItemOperation, ItemWritten | { sequence: number } | null>({
      maxRows: MAX_ITEMS,
      rowsOf: () => 1,
      keyOf: itemIdOf,
      commit: async (operations) => {
        const { outcomes } = await timed(operations.length, () => inTransaction(database.transaction, operations));
        const newest = Math.max(0, ...outcomes.map((outcome) => ('value' in outcome ? (outcome.value?.sequence ?? 0) : 0)));
        if (newest > 0) await settle(newest, SETTLE_MS);
        return outcomes;
      },
    });
    const months = createEventMonths(database);
    const eventLane = createLane<readonly UserEvent[], Appended>({
      maxRows: MAX_EVENTS,
      rowsOf: (events) => events.length,
      parallel: EVENT_TRANSACTIONS,
      commit: async (calls): Promise<Outcome<Appended>[]> => {
        await months.prepare(calls.flatMap((events) => events.map(({ at }) => at)));
        const appended = await timed(calls.length, () => database.transaction((statements) => appendEvents(statements, calls)));
        calls.forEach((events, n) =>
          events.forEach((event, place) => {
            if (appended[n]?.accepted[place] !== true) return;
            ownEvents.add(event.event_id);
          }),
        );
        for (const events of calls) for (const { user_id: userId } of events) tellUser(userId);
        const newest = Math.max(0, ...appended.map(({ sequence }) => sequence ?? 0));
        if (newest > 0) await settle(newest, SETTLE_EVENTS_MS);
        return appended.map((value) => ({ value }));
      },
    });
    const erase = async (userId: string | null, work: () => Promise<ErasedNow>) => {
      const erased = await timed(1, work);
      if (erased.sequence !== null) ownErasures.add(erased.sequence);
      tellUser(userId);
      if (erased.sequence !== null) await settle(erased.sequence, SETTLE_EVENTS_MS);
      return { ...erased, sequence: erased.sequence ?? feed.feed.sequence };
    };
    const purge = createPurge(database);
    const reads = prepareEventReads(database, () => feed.applied);

    return {
      database,
      feedDatabase,
      feed,
      identity: await identityOf(database),
      trim: () => trimChanges(database),
      items: {
        ...prepareItemReads(database),
        put: (write) => itemLane.write({ type: 'put', write: copyOf(write) }) as Promise<ItemWritten>, // of this operation, here and below
        updateFields: (item) => itemLane.write({ type: 'fields', item: structuredClone(item) }) as Promise<ItemWritten | null>,
        delete: (itemId) => itemLane.write({ type: 'delete', itemId }),
      },
      vectors: {
        ...prepareVectorReads(database),
        save: async (fingerprint, vectors) => {
          if (vectors.length === 0) return;
          await database.transaction((statements) =>
            saveVectors(
              statements,
              newestOfEach(vectors).map((vector) => ({ ...vector, fingerprint })),
            ),
          );
        },
        dropOthers: async (keep, limit) =>
          (
            await database.rows(
              `DELETE FROM vectors v USING (SELECT fingerprint, item_id FROM vectors WHERE NOT fingerprint = ANY ($1) LIMIT $2) AS old
               WHERE v.fingerprint = old.fingerprint AND v.item_id = old.item_id RETURNING 1 AS dropped`,
              [keep, limit],
            )
          ).length,
        discard: async (itemIds) => void (await database.rows('DELETE FROM vectors WHERE item_id = ANY ($1)', [itemIds])),
      },
      events: {
        ...reads,
        append: async (events): Promise<EventsWritten> => {
          if (events.length === 0) return { accepted: [], sequence: feed.feed.sequence };
          if (eventLane.rows > 0 && eventLane.rows + events.length > maxEventQueue) {
            metrics.rejected.inc({ reason: 'event_queue_full' });
            throw overloaded('event');
          }
          const { accepted, sequence } = await eventLane.write(events);
          return { accepted, sequence: sequence ?? feed.feed.sequence };
        },
        eraseUser: (userId, limit) => erase(userId, () => database.transaction((statements) => eraseUser(statements, userId, limit))),
        expire: async (old, limit) => {
          const erased = await erase(null, () => database.transaction((statements) => expireEvents(statements, old, limit)));
          if (erased.events < limit) await months.dropEmpty(old.before);
          return erased;
        },
        purgeErased: purge.within,
        onUserChange: (listener) => void userListeners.push(listener),
        onCount: (listener) => void countListeners.push(listener),
      },
      attributes: {
        ...createAttributeStore({ database, settled: (sequence) => settle(sequence, SETTLE_MS) }),
        onChange: (listener) => void attributeListeners.push(listener),
      },
      models: createModelStore(database),
      changes: feed.feed,
      keyValues: createKeyValueStore(database),
      idempotency: createIdempotencyStore(database),
      close: async () => {
        await itemLane.idle();
        await eventLane.idle();
        await purge.idle();
        await wakeUp.close();
        await feed.close();
        await close();
      },
    };
  }
}

/** A caller may change an item after the call, but not its blobs. */
const copyOf = <Write extends { item: object }>(write: Write): Write => ({ ...write, item: structuredClone(write.item) });

/** Takes erased rows out of the tables' files. What write-ahead logs, standbys and backups hold is the operator's to expire. */
function createPurge({ rows }: Pick<Database, 'rows'>) {
  let running: Promise<boolean> | null = null;
  const vacuum = async (): Promise<boolean> => {
    try {
      await rows('VACUUM events, event_ids, changes');
      return true;
    } catch {
      return false; // it was cut off; the database does it by itself, later
    }
  };
  const start = (): Promise<boolean> => {
    // an erasure that came during a run may have been missed by it
    running = (running ?? Promise.resolve(true)).then(vacuum);
    return running;
  };
  return {
    within: async (timeoutMs: number): Promise<boolean> => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), timeoutMs)));
      try {
        return await Promise.race([start(), late]);
      } finally {
        clearTimeout(timer);
      }
    },
    idle: async (): Promise<void> => void (await running),
  };
}
