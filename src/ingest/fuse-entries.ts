import type { ItemFields } from '../domain/item.js';
import type { KnownItem } from './known-item.js';

/** Items that may wait while an indexer catches up. */
const MAX_WAITING = 4096;

/** An item that is to be fused. */
export interface FuseEntry {
  readonly itemId: string;
  /** Null: it is to be read from the store. */
  known: KnownItem | null;
  /** Called once: when every search finds the item, or when the entry was discarded. */
  readonly done: () => void;
  readonly waiters: { resolve: () => void; reject: (error: Error) => void }[];
}

/**
 * The entries of a fuse queue. An entry waits, is taken to be fused, and is then being indexed until every search finds the item. A newer
 * change may discard it until it is being indexed.
 */
export interface FuseEntries {
  has(itemId: string): boolean;
  /** Adds an entry that waits; an earlier one of the same item is discarded. */
  add(itemId: string, known: KnownItem | null, done: () => void): void;
  updateFields(itemId: string, fields: ItemFields, sequence: number): void;
  discard(itemId: string): void;
  /** Takes the oldest entries that wait. */
  take(limit: number): FuseEntry[];
  /** Whether no newer change has settled the item. */
  isCurrent(entry: FuseEntry): boolean;
  /** A change that comes from now on is applied after this entry. */
  beginIndexing(entry: FuseEntry): void;
  /** Every search finds the item. */
  endIndexing(entry: FuseEntry): void;
  isPending(itemId: string): boolean;
  /** Resolves when the item is no longer pending; rejects after `fail`. */
  settled(itemId: string): Promise<void>;
  fail(error: Error): void;
  hasRoom(): Promise<void>;
  /** There is room from now on. */
  close(): void;
}

export function createFuseEntries(): FuseEntries {
  /** By item id: waiting or being fused. */
  const entries = new Map<string, FuseEntry>();
  const waiting = new Set<FuseEntry>();
  /** By item id: put, and not found by every search yet. */
  const indexing = new Map<string, FuseEntry>();
  const forRoom: (() => void)[] = [];
  let ended: Error | null = null;
  let isClosed = false;

  const pending = (itemId: string): FuseEntry | undefined => entries.get(itemId) ?? indexing.get(itemId);
  const makeRoom = (): void => {
    for (const resume of forRoom.splice(0)) resume();
  };
  const remove = (entry: FuseEntry): void => {
    entries.delete(entry.itemId);
    waiting.delete(entry);
    if (entries.size <= MAX_WAITING) makeRoom();
  };
  const settle = ({ done, waiters }: FuseEntry): void => {
    done();
    for (const { resolve } of waiters) resolve();
  };
  const discard = (itemId: string): void => {
    const entry = entries.get(itemId);
    if (entry === undefined) return;
    remove(entry);
    settle(entry);
  };
  return {
    has: (itemId) => entries.has(itemId),
    add: (itemId, known, done) => {
      discard(itemId);
      const entry: FuseEntry = { itemId, known, done, waiters: [] };
      entries.set(itemId, entry);
      waiting.add(entry);
    },
    updateFields: (itemId, fields, sequence) => {
      const entry = entries.get(itemId);
      if (entry !== undefined && entry.known !== null) entry.known = { ...entry.known, fields, sequence };
    },
    discard,
    take: (limit) => {
      const batch: FuseEntry[] = [];
      for (const entry of waiting) {
        if (batch.length === limit) break;
        waiting.delete(entry);
        batch.push(entry);
      }
      return batch;
    },
    isCurrent: (entry) => entries.get(entry.itemId) === entry,
    beginIndexing: (entry) => {
      remove(entry);
      indexing.set(entry.itemId, entry);
    },
    endIndexing: (entry) => {
      if (indexing.get(entry.itemId) === entry) indexing.delete(entry.itemId);
      settle(entry);
    },
    isPending: (itemId) => pending(itemId) !== undefined,
    settled: (itemId) => {
      const entry = pending(itemId);
      if (entry === undefined) return Promise.resolve();
      if (ended !== null) return Promise.reject(ended);
      return new Promise((resolve, reject) => void entry.waiters.push({ resolve, reject }));
    },
    fail: (error) => {
      ended ??= error;
      for (const { waiters } of [...entries.values(), ...indexing.values()]) for (const { reject } of waiters.splice(0)) reject(error);
    },
    hasRoom: () => (entries.size <= MAX_WAITING || isClosed ? Promise.resolve() : new Promise((resolve) => void forRoom.push(resolve))),
    close: () => {
      isClosed = true;
      makeRoom();
    },
  };
}
