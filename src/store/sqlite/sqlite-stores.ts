import { join } from 'node:path';
import { makeFolder } from '../../files.js';
import type { Metrics } from '../../metrics.js';
import { packageFile } from '../../package-root.js';
import { startWorker, type WorkerClient } from '../../threads/worker-client.js';
import type { StorageHealth } from '../storage-health.js';
import { countsOfEvents, type CountChange, type Erased, type EventsWritten } from '../events.js';
import type { StoreCheck } from '../store-check.js';
import type { Stores } from '../stores.js';
import { createAttributeStore } from './attribute-store.js';
import { createChangeFeed } from './change-feed.js';
import { DATABASE_FILE, openDatabase } from './database.js';
import { prepareEventReads } from './event-reads.js';
import { createItemTotals } from './item-totals.js';
import { prepareItemReads, prepareVectorReads } from './item-reads.js';
import { createWalCleaner } from './wal-cleaner.js';
import { migrate } from './migrate.js';
import { createReadGuard } from './read-guard.js';
import { prepareSettingReads } from './setting-reads.js';
import type { DoneWrite, ErasedRows, FieldsWritten, PutWritten, WriteOperation } from './write-operations.js';
import { createWriteQueue } from './write-queue.js';

const WRITER = new URL('./writer-worker.js', import.meta.url).href;
const CHECKER = new URL('./check-worker.js', import.meta.url).href;

export interface SqliteSetup {
  dataDir: string;
  metrics: Metrics;
  health: StorageHealth;
  /** The writer thread has died. */
  onCrash: (error: Error) => void;
  /** Maximum number of events and erasures that wait for the disk; more are refused. Infinity: no limit. */
  maxEventQueue?: number;
}

export interface SqliteStores extends Stores {
  check: StoreCheck;
}

/**
 * Opens SQLite in WAL mode: this thread reads, one worker writes. Events and erasures are refused when too many wait. Writes of items
 * are bounded by ingest, and later writes of an accepted request are never refused.
 * @throws InputError when the database is of a newer version
 */
export function openSqliteStores({ dataDir, metrics, health, onCrash, maxEventQueue = Infinity }: SqliteSetup): SqliteStores {
  makeFolder(dataDir);
  const file = join(dataDir, DATABASE_FILE);
  const setup = openDatabase(file);
  try {
    migrate(setup, packageFile('migrations', 'sqlite'));
  } finally {
    setup.close();
  }
  const database = openDatabase(file, { readonly: true });
  const guard = createReadGuard(health);
  const worker = startWorker(WRITER, { file }, onCrash);
  const { feed, note } = createChangeFeed(database, guard);
  const userListeners: ((userId: string | null) => void)[] = [];
  const countListeners: ((change: CountChange) => void)[] = [];
  const { write, writeBounded, idle } = createWriteQueue(worker, metrics, health, maxEventQueue, (done) => {
    for (const { operation } of done) for (const userId of usersOf(operation)) for (const listener of userListeners) listener(userId);
    for (const write of done) {
      const change = countsOf(write);
      if (change !== null) for (const listener of countListeners) listener(change);
    }
    attributes.note(done);
    note(done);
  });
  const closing = new AbortController();
  const attributes = createAttributeStore({ database, write, feed, closing: closing.signal });
  const truncateWal = async (): Promise<boolean> => {
    try {
      return await worker.call<boolean>({ type: 'truncateWal' });
    } catch {
      return false; // the disk is full or the writer has died (see onCrash): the log is not truncated
    }
  };
  const cleaner = createWalCleaner(truncateWal, (calls) => metrics.erasuresPending.set(calls));
  void cleaner.clean(0); // an erasure may have been cut off by the end of the last process
  const settings = prepareSettingReads(database, guard);
  let checker: WorkerClient | null = null;
  const check = async <Value>(request: object): Promise<Value> => {
    try {
      return await (checker ??= startWorker(CHECKER, { file }, onCrash)).call<Value>(request);
    } catch (error) {
      throw health.told(error);
    }
  };

  return {
    items: {
      ...prepareItemReads({ database, guard, health }),
      put: async (item) => {
        const { sequence, created, created_at } = await write<PutWritten>({ type: 'putItem', write: item });
        return { sequence, created, created_at };
      },
      updateFields: async (item) => {
        const written = await write<FieldsWritten | null>({ type: 'updateItem', item });
        return written && { sequence: written.sequence, created: written.created, created_at: written.created_at };
      },
      delete: (itemId) => write({ type: 'deleteItem', itemId }),
    },
    vectors: {
      ...prepareVectorReads({ database, guard, health }),
      save: (fingerprint, vectors) => write({ type: 'saveVectors', fingerprint, vectors }),
      dropOthers: async (keep, limit) => (await write<{ dropped: number }>({ type: 'dropVectors', keep, limit })).dropped,
      discard: (itemIds) => write({ type: 'discardVectors', itemIds }),
    },
    events: {
      ...prepareEventReads(database, guard),
      ...createItemTotals(file, closing.signal),
      append: (events) => writeBounded({ type: 'appendEvents', events }),
      eraseUser: async (userId, limit) => toErased(await writeBounded<ErasedRows>({ type: 'eraseUser', userId, limit })),
      expire: async (old, limit) => toErased(await write<ErasedRows>({ type: 'expireEvents', old, limit })),
      purgeErased: (timeoutMs) => cleaner.clean(timeoutMs),
      onUserChange: (listener) => void userListeners.push(listener),
      onCount: (listener) => void countListeners.push(listener),
    },
    attributes: attributes.store,
    models: { register: (model) => write({ type: 'registerModel', model }), list: settings.models },
    changes: feed,
    keyValues: {
      get: settings.value,
      set: (key, value) => write({ type: 'setValue', key, value, isFirst: false }),
      add: async (key, value) => {
        await write({ type: 'setValue', key, value, isFirst: true });
        return (await settings.value(key)) ?? value;
      },
    },
    check: { next: (position) => check({ type: 'next', position }), isSound: (row) => check({ type: 'isSound', row }) },
    idempotency: { get: settings.keptAnswer, keep: (answer, dropBefore) => write({ type: 'keepAnswer', answer, dropBefore }) },
    close: async () => {
      closing.abort(new Error('the store is closed'));
      await idle();
      await cleaner.close();
      await checker?.close();
      database.close();
      await worker.call({ type: 'close' });
      await worker.close();
    },
  };
}

const toErased = ({ events, sequence }: ErasedRows): Erased => ({ events, sequence });

/** Null: the counts of items are as before. */
function countsOf({ operation, value }: DoneWrite): CountChange | null {
  if (operation.type === 'appendEvents') {
    const { accepted } = value as EventsWritten; // of this operation, here and below
    return countsOfEvents(operation.events.filter((_, n) => accepted[n] === true));
  }
  if (operation.type !== 'eraseUser' && operation.type !== 'expireEvents') return null;
  const { positives, impressions } = value as ErasedRows;
  return { isErased: true, positives, impressions };
}

/** Users whose events an operation has changed; null: any user's. */
function usersOf(operation: WriteOperation): (string | null)[] {
  if (operation.type === 'appendEvents') return operation.events.map(({ user_id: userId }) => userId);
  if (operation.type === 'eraseUser') return [operation.userId];
  return operation.type === 'expireEvents' ? [null] : [];
}
