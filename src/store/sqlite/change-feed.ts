import type Database from 'better-sqlite3';
import type { ChangeFeed, ItemChange } from '../changes.js';
import { createWatermark } from '../watermark.js';
import type { ReadGuard } from './read-guard.js';
import { changeOf, createRecentChanges } from './recent-changes.js';
import type { DoneWrite } from './write-operations.js';

/** Changes kept in memory, each with fields and fused vectors: a few seconds of the fastest import. */
const RECENT_CHANGES = 4096;

export interface SqliteChangeFeed {
  feed: ChangeFeed;
  /** Takes committed writes and calls the listeners. */
  note(done: readonly DoneWrite[]): void;
}

export function createChangeFeed(database: Database.Database, guard: ReadGuard, capacity = RECENT_CHANGES): SqliteChangeFeed {
  const { any, items } = newestSequences(database);
  // kept in memory: every answer names the newest sequence
  const newest = createWatermark(any);
  let newestOfItems = items;
  const recent = createRecentChanges(capacity, items);
  const readTables = createTableReader(database);
  const listeners = new Set<() => void>();

  return {
    feed: {
      get sequence() {
        return newest.at;
      },
      get itemSequence() {
        return newestOfItems;
      },
      reached: (sequence, timeoutMs) => newest.reached(sequence, timeoutMs),
      since: guard((sequence, limit) => {
        const known = recent.since(sequence, limit);
        if (known !== null) return known;
        const { changes, upTo } = readTables(sequence, limit);
        // a full page may end between a put and a later change of fields; the recent changes would then return the fields alone
        if (changes.length === limit) recent.restart(upTo);
        return changes;
      }),
      onItemChange: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    note: (done) => {
      const before = newestOfItems;
      for (const write of done) {
        const change = changeOf(write);
        if (change !== null) {
          recent.add(change);
          newestOfItems = change.sequence;
        }
        const { sequence } = (write.value ?? {}) as { sequence?: number }; // null, or a value of WriteValue
        if (sequence !== undefined) newest.advance(sequence);
      }
      if (newestOfItems > before) for (const listener of [...listeners]) listener();
    },
  };
}

/** Sequences of the newest change of an item and of anything; 0: there was none. */
function newestSequences(database: Database.Database): { items: number; any: number } {
  const of = (table: 'items' | 'tombstones' | 'events' | 'erasures'): number =>
    database.prepare<[], number | null>(`SELECT max(sequence) FROM ${table}`).pluck().get() ?? 0;
  const items = Math.max(of('items'), of('tombstones'));
  return { items, any: Math.max(items, of('events'), of('erasures')) };
}

type ChangeRow = [sequence: number, itemId: string, exists: number];

/** Reads changes from the tables. They hold the newest change of an item only, without its kind, so each counts as a put. */
function createTableReader(database: Database.Database): (sequence: number, limit: number) => { changes: ItemChange[]; upTo: number } {
  const page = database
    .prepare<[number, number, number], ChangeRow>(
      `SELECT sequence, item_id, 1 FROM items WHERE sequence > ?
       UNION ALL SELECT sequence, item_id, 0 FROM tombstones WHERE sequence > ? ORDER BY 1 LIMIT ?`,
    )
    .raw();
  const readPage = database.transaction((sequence: number, limit: number) => {
    const changes = page.all(sequence, sequence, limit).map(([at, itemId, exists]): ItemChange => ({
      sequence: at,
      item_id: itemId,
      kind: exists === 1 ? 'put' : 'delete',
      written: null,
    }));
    return { changes, upTo: newestSequences(database).items };
  });
  return (sequence, limit) => readPage.deferred(sequence, limit);
}
