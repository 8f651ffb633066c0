import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { messageOf, overloaded, storageFull } from '../../errors.js';
import type { Metrics } from '../../metrics.js';
import { startWorker } from '../../threads/worker-client.js';
import { packageFile } from '../../package-root.js';
import type { Erased, EventsWritten, ItemWritten, Store } from '../store.js';
import { createProgress } from '../watermark.js';
import { DATABASE_FILE, openDatabase } from './database.js';
import { createLogCleaner } from './log-cleaner.js';
import { migrate } from './migrate.js';
import { createReader } from './reader.js';
import type { WriteOperation, WriteOutcome } from './writer.js';

const WORKER = new URL('./writer-worker.js', import.meta.url).href;

/** SQLite's message for SQLITE_FULL; workers hand on messages only. */
const isFull = (message: string): boolean => message.includes('disk is full');

/** Writes, and rows of them, taken into one commit; bounds the time that the first of them waits for the last. */
const MAX_GROUP = 1024;
const MAX_GROUP_ROWS = 20_000;

const rowsOf = (operation: WriteOperation): number => (operation.type === 'appendEvents' ? operation.events.length : 1);

interface Waiting {
  operation: WriteOperation;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/**
 * SQLite in WAL mode: this thread reads, one worker writes. Group commit needs no timer: whatever arrives while a
 * commit is on its way to the disk goes into the next one. Events and erasures are refused when `maxEventQueue` of them wait;
 * writes of items are bounded where they are accepted, and what finishes an accepted request is never refused.
 * @throws InputError when the database is of a newer version
 */
export function openSqliteStore(dataDir: string, metrics: Metrics, onCrash: (error: Error) => void, maxEventQueue = Infinity): Store {
  mkdirSync(dataDir, { recursive: true });
  const file = join(dataDir, DATABASE_FILE);
  const setup = openDatabase(file);
  try {
    migrate(setup, packageFile('migrations', 'sqlite'));
  } finally {
    setup.close();
  }
  const database = openDatabase(file, { readonly: true });
  const worker = startWorker(WORKER, { file }, onCrash);

  // kept in memory: every answer names the newest sequence
  const { any: newestAny, items } = newestSequences(database);
  const newest = createProgress(newestAny);
  let newestOfItems = items;
  const listeners: ((userId: string | null) => void)[] = [];
  const tellWhose = (operation: WriteOperation): void => {
    if (operation.type === 'appendEvents') {
      for (const { user_id: userId } of operation.events) for (const listener of listeners) listener(userId);
    } else if (operation.type === 'eraseUser') for (const listener of listeners) listener(operation.userId);
    else if (operation.type === 'expireEvents') for (const listener of listeners) listener(null);
  };
  const note = (operation: WriteOperation, value: unknown): void => {
    tellWhose(operation); // before anybody can learn that the write is done
    const { type } = operation;
    const { sequence } = (value ?? {}) as { sequence?: number }; // null, or a value of WriteOutcome
    if (sequence === undefined) return;
    newest.advance(sequence);
    if (ITEM_OPERATIONS.has(type)) newestOfItems = Math.max(newestOfItems, sequence);
  };

  const queue: Waiting[] = [];
  let running: Promise<void> | null = null;

  const commit = async (group: Waiting[]): Promise<void> => {
    const stop = metrics.commitSeconds.startTimer();
    try {
      const outcomes = await worker.call<WriteOutcome[]>({ type: 'write', operations: group.map(({ operation }) => operation) });
      metrics.commitSize.observe(group.length);
      group.forEach(({ operation, resolve, reject }, index) => {
        const outcome = outcomes[index];
        if (outcome === undefined || 'error' in outcome)
          reject(isFull(outcome?.error ?? '') ? storageFull() : new Error(`the store refused a write: ${outcome?.error ?? 'no outcome'}`));
        else {
          note(operation, outcome.value);
          resolve(outcome.value as never); // each operation has one kind of value, see Store
        }
      });
    } catch (error) {
      for (const { reject } of group) reject(isFull(messageOf(error)) ? storageFull() : (error as Error));
    } finally {
      stop();
    }
  };
  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      await commit(queue.splice(0, sizeOfGroup(queue)));
    }
    running = null;
  };
  const write = <Value>(operation: WriteOperation): Promise<Value> =>
    new Promise((resolve, reject) => {
      queue.push({ operation, resolve: resolve as (value: never) => void, reject });
      running ??= Promise.resolve().then(drain);
    });

  let waitingRows = 0;
  const writeBounded = async <Value>(operation: WriteOperation): Promise<Value> => {
    const rows = rowsOf(operation);
    if (waitingRows > 0 && waitingRows + rows > maxEventQueue) {
      metrics.rejected.inc({ reason: 'event_queue_full' });
      throw overloaded('event');
    }
    waitingRows += rows;
    try {
      return await write<Value>(operation);
    } finally {
      waitingRows -= rows;
    }
  };

  const emptyLog = async (): Promise<boolean> => {
    try {
      return await worker.call<boolean>({ type: 'emptyLog' });
    } catch {
      return false; // a full disk, or a dead writer, which onCrash is told of: the log is not empty either way
    }
  };
  const cleaner = createLogCleaner(emptyLog, (calls) => metrics.erasuresPending.set(calls));
  void cleaner.clean(0); // an erasure before the last end may not have come so far

  return {
    ...createReader(database),
    onUserChange: (listener) => void listeners.push(listener),
    sequence: () => newest.at,
    itemSequence: () => newestOfItems,
    reached: (sequence, timeoutMs) => newest.reached(sequence, timeoutMs),
    putItem: (item) => write<ItemWritten>({ type: 'putItem', write: item }),
    updateItem: (item) => write<ItemWritten | null>({ type: 'updateItem', item }),
    deleteItem: (itemId) => write<{ sequence: number } | null>({ type: 'deleteItem', itemId }),
    appendEvents: (events) => writeBounded<EventsWritten>({ type: 'appendEvents', events }),
    eraseUser: (userId, limit) => writeBounded<Erased>({ type: 'eraseUser', userId, limit }),
    cleanFiles: (timeoutMs) => cleaner.clean(timeoutMs),
    expireEvents: (before, limit) => write<Erased>({ type: 'expireEvents', before, limit }),
    saveVectors: (fingerprint, vectors) => write({ type: 'saveVectors', fingerprint, vectors }),
    dropVectors: (keep, limit) => write<{ dropped: number }>({ type: 'dropVectors', keep, limit }),
    registerModel: (model) => write({ type: 'registerModel', model }),
    keepAnswer: (answer, dropBefore) => write({ type: 'keepAnswer', answer, dropBefore }),
    setMeta: (key, value) => write({ type: 'setMeta', key, value }),
    close: async () => {
      while (running !== null) await running;
      await cleaner.close();
      database.close();
      await worker.call({ type: 'close' });
      await worker.close();
    },
  };
}

/** At least one, whatever its rows. */
function sizeOfGroup(queue: readonly Waiting[]): number {
  let rows = 0;
  let size = 0;
  for (const { operation } of queue) {
    rows += rowsOf(operation);
    if (size === MAX_GROUP || (size > 0 && rows > MAX_GROUP_ROWS)) break;
    size++;
  }
  return size;
}

const ITEM_OPERATIONS: ReadonlySet<WriteOperation['type']> = new Set(['putItem', 'updateItem', 'deleteItem']);

function newestSequences(database: Database.Database): { any: number; items: number } {
  const of = (table: string): number => database.prepare<[], number | null>(`SELECT max(sequence) FROM ${table}`).pluck().get() ?? 0; // one of the names below
  const items = Math.max(of('items'), of('tombstones'));
  return { items, any: Math.max(items, of('events'), of('erasures')) };
}
