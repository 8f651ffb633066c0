import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { messageOf, storageFull } from '../../errors.js';
import type { Metrics } from '../../metrics.js';
import { startWorker } from '../../threads/worker-client.js';
import { packageFile } from '../../package-root.js';
import type { Erased, EventsWritten, ItemWritten, Store } from '../store.js';
import { DATABASE_FILE, openDatabase } from './database.js';
import { migrate } from './migrate.js';
import { createReader } from './reader.js';
import type { WriteOperation, WriteOutcome } from './writer.js';

const WORKER = new URL('./writer-worker.js', import.meta.url).href;

/** SQLite's message for SQLITE_FULL; workers hand on messages only. */
const isFull = (message: string): boolean => message.includes('disk is full');

/** Writes taken into one commit; bounds the time that the first of them waits for the last. */
const MAX_GROUP = 1024;

interface Waiting {
  operation: WriteOperation;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/**
 * SQLite in WAL mode: this thread reads, one worker writes. Group commit needs no timer: whatever arrives while a
 * commit is on its way to the disk goes into the next one.
 * @throws InputError when the database is of a newer version
 */
export function openSqliteStore(dataDir: string, metrics: Metrics, onCrash: (error: Error) => void): Store {
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
  const newest = newestSequences(database);
  let awaited: { sequence: number; resolve: () => void }[] = [];
  const reached = async (sequence: number, timeoutMs: number): Promise<boolean> => {
    if (newest.any >= sequence) return true;
    let timer: NodeJS.Timeout | undefined;
    const entry = { sequence, resolve: (): void => undefined };
    const arrived = new Promise<true>((resolve) => {
      entry.resolve = () => resolve(true);
      awaited.push(entry);
    });
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    const inTime = await Promise.race([arrived, late]);
    clearTimeout(timer);
    awaited = awaited.filter((other) => other !== entry);
    return inTime;
  };
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
    newest.any = Math.max(newest.any, sequence);
    for (const waiting of awaited) if (waiting.sequence <= newest.any) waiting.resolve();
    if (ITEM_OPERATIONS.has(type)) newest.items = Math.max(newest.items, sequence);
  };

  let queue: Waiting[] = [];
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
      const group = queue.slice(0, MAX_GROUP);
      queue = queue.slice(MAX_GROUP);
      await commit(group);
    }
    running = null;
  };
  const write = <Value>(operation: WriteOperation): Promise<Value> =>
    new Promise((resolve, reject) => {
      queue.push({ operation, resolve: resolve as (value: never) => void, reject });
      running ??= Promise.resolve().then(drain);
    });

  return {
    ...createReader(database),
    onUserChange: (listener) => void listeners.push(listener),
    sequence: () => newest.any,
    itemSequence: () => newest.items,
    reached,
    putItem: (item) => write<ItemWritten>({ type: 'putItem', write: item }),
    updateItem: (item) => write<ItemWritten | null>({ type: 'updateItem', item }),
    deleteItem: (itemId) => write<{ sequence: number } | null>({ type: 'deleteItem', itemId }),
    appendEvents: (events) => write<EventsWritten>({ type: 'appendEvents', events }),
    eraseUser: (userId) => write<Erased>({ type: 'eraseUser', userId }),
    expireEvents: (before, limit) => write<Erased>({ type: 'expireEvents', before, limit }),
    saveVectors: (fingerprint, vectors) => write({ type: 'saveVectors', fingerprint, vectors }),
    dropVectors: (keep, limit) => write<{ dropped: number }>({ type: 'dropVectors', keep, limit }),
    registerModel: (model) => write({ type: 'registerModel', model }),
    keepAnswer: (answer, dropBefore) => write({ type: 'keepAnswer', answer, dropBefore }),
    setMeta: (key, value) => write({ type: 'setMeta', key, value }),
    close: async () => {
      while (running !== null) await running;
      database.close();
      await worker.call({ type: 'close' });
      await worker.close();
    },
  };
}

const ITEM_OPERATIONS: ReadonlySet<WriteOperation['type']> = new Set(['putItem', 'updateItem', 'deleteItem']);

function newestSequences(database: Database.Database): { any: number; items: number } {
  const of = (table: string): number => database.prepare<[], number | null>(`SELECT max(sequence) FROM ${table}`).pluck().get() ?? 0; // one of the names below
  const items = Math.max(of('items'), of('tombstones'));
  return { items, any: Math.max(items, of('events'), of('erasures')) };
}
