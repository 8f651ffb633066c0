import type { Logger } from 'pino';
import type { ItemFields, StoredVector } from '../domain/item.js';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ItemStore } from '../store/items.js';
import type { FusedItem, VectorStore } from '../store/vectors.js';
import { fuseItem, type ItemModel } from './item-fusing.js';
import { knownByRow, type KnownItem } from './known-item.js';
import { createLanes } from './lanes.js';

/** Two lanes: one batch is fused while the previous one is saved. */
const LANES = 2;
/** Items of one batch; bounds the hidden states in memory. */
const LANE_BATCH = 256;
/** Items that may wait while an indexer catches up. */
const MAX_WAITING = 4096;

/** Queue of items that have no vector of the model yet. It fuses them in batches, puts them into the retrieval and saves their vectors. */
export interface FuseQueue {
  has(itemId: string): boolean;
  /**
   * Adds an item; an earlier entry of the same item is discarded.
   * @param known null: the queue reads the item from the store, which may have a vector
   * @param done called once: when every search finds the item, or when the entry was discarded
   */
  add(itemId: string, known: KnownItem | null, done: () => void): void;
  /** Replaces the fields of an item that waits. */
  updateFields(itemId: string, fields: ItemFields, sequence: number): void;
  /** Discards the entry of an item, and its result if it is being fused: a newer change has settled the item. */
  discard(itemId: string): void;
  /** Whether the item waits, is being fused, or is not found by every search yet. */
  isPending(itemId: string): boolean;
  /** Resolves when the item is no longer pending. */
  settled(itemId: string): Promise<void>;
  /** Rejects every present and later call of `settled`. */
  fail(error: Error): void;
  /** Why an item could not be fused, of the first such item; null: there is none. */
  readonly failure: Error | null;
  /** Resolves when the queue has fewer than its maximum of waiting items. */
  hasRoom(): Promise<void>;
  /** Resolves when no batch is under way. Items that still wait are not fused. */
  close(): Promise<void>;
}

export interface FuseQueueSetup {
  model: ItemModel;
  stores: { items: Pick<ItemStore, 'hiddenStates'>; vectors: Pick<VectorStore, 'getMany' | 'save'> };
  retrieval: Pick<Retrieval, 'apply'>;
  log: Pick<Logger, 'error'>;
  /** The store or the retrieval has failed. */
  onError: (error: Error) => void;
}

interface Entry {
  itemId: string;
  known: KnownItem | null;
  done: () => void;
  waiters: { resolve: () => void; reject: (error: Error) => void }[];
}

type FuseOutcome = { stored: StoredVector | null; isNew: boolean } | { error: Error };

export function createFuseQueue({ model, stores, retrieval, log, onError }: FuseQueueSetup): FuseQueue {
  const { fingerprint } = model.artifact;
  /** By item id: waiting or being fused. */
  const entries = new Map<string, Entry>();
  const waiting = new Set<Entry>();
  /** By item id: put, and not found by every search yet. */
  const indexing = new Map<string, Entry>();
  const failures = new Map<string, Error>();
  let isClosed = false;
  let ended: Error | null = null;
  const forRoom: (() => void)[] = [];

  const discard = (itemId: string): void => {
    failures.delete(itemId);
    const entry = entries.get(itemId);
    if (entry !== undefined) finish(entry);
  };
  const remove = (entry: Entry): void => {
    entries.delete(entry.itemId);
    waiting.delete(entry);
    if (entries.size > MAX_WAITING) return;
    for (const resume of forRoom.splice(0)) resume();
  };
  const pending = (itemId: string): Entry | undefined => entries.get(itemId) ?? indexing.get(itemId);
  const settle = ({ done, waiters }: Entry): void => {
    done();
    for (const { resolve } of waiters) resolve();
  };
  const finish = (entry: Entry): void => {
    remove(entry);
    settle(entry);
  };

  const nextBatch = (): Entry[] | null => {
    const batch: Entry[] = [];
    for (const entry of waiting) {
      if (batch.length === LANE_BATCH) break;
      waiting.delete(entry);
      batch.push(entry);
    }
    return batch.length === 0 ? null : batch;
  };

  /** Reads the entries without a known item. Entries of deleted items are finished. */
  const readUnknown = async (batch: readonly Entry[]): Promise<void> => {
    const unknown = batch.filter(({ known }) => known === null);
    if (unknown.length === 0) return;
    const ids = unknown.map(({ itemId }) => itemId);
    const rows = new Map((await stores.vectors.getMany(fingerprint, ids)).map((row) => [row.item_id, row]));
    for (const entry of unknown) {
      const row = rows.get(entry.itemId);
      if (row !== undefined) entry.known = knownByRow(row);
      else if (entries.get(entry.itemId) === entry) finish(entry);
    }
  };
  const fuseBatch = async (batch: readonly Entry[]): Promise<void> => {
    await readUnknown(batch);
    const outcomes = await Promise.all(batch.map((entry) => fuseEntry(entry, model, stores.items)));
    const changes: IndexChange[] = [];
    const made: FusedItem[] = [];
    const put: Entry[] = [];
    batch.forEach((entry, n) => {
      const outcome = outcomes[n];
      const { itemId, known } = entry;
      if (outcome === undefined || known === null || entries.get(itemId) !== entry) return; // superseded
      remove(entry); // a change that comes from now on is applied after this one
      indexing.set(itemId, entry);
      put.push(entry);
      const stored = 'error' in outcome ? null : outcome.stored;
      // when fusing has failed, the item is put without a vector: the vector of its old hidden states must not stay
      changes.push({ kind: 'put', fields: known.fields, created: known.created, stored });
      if ('error' in outcome) {
        failures.set(itemId, outcome.error);
        log.error({ err: outcome.error, fingerprint }, 'a stored item could not be fused: it has no vector until it is written again');
      } else if (outcome.isNew && stored !== null)
        made.push({ item_id: itemId, sequence: known.sequence, vector: stored.vector, id_share: stored.id_share });
    });
    // a vector that cannot be saved is searchable; the next start fuses the item again
    const saved =
      made.length === 0
        ? null
        : stores.vectors
            .save(fingerprint, made)
            .catch((error: unknown) => log.error({ err: error, fingerprint }, 'fused vectors could not be saved'));
    if (changes.length > 0) await retrieval.apply(changes);
    for (const entry of put) {
      if (indexing.get(entry.itemId) === entry) indexing.delete(entry.itemId);
      settle(entry);
    }
    await saved;
  };

  const lanes = createLanes({ count: LANES, next: nextBatch, hasNext: () => waiting.size > 0, run: fuseBatch, onError });

  return {
    has: (itemId) => entries.has(itemId),
    add: (itemId, known, done) => {
      discard(itemId);
      const entry: Entry = { itemId, known, done, waiters: [] };
      entries.set(itemId, entry);
      waiting.add(entry);
      lanes.start();
    },
    updateFields: (itemId, fields, sequence) => {
      const entry = entries.get(itemId);
      if (entry !== undefined && entry.known !== null) entry.known = { ...entry.known, fields, sequence };
    },
    discard,
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
    get failure() {
      const [first = null] = failures.values();
      return first;
    },
    hasRoom: () => (entries.size <= MAX_WAITING || isClosed ? Promise.resolve() : new Promise((resolve) => void forRoom.push(resolve))),
    close: async () => {
      isClosed = true;
      const closing = lanes.close();
      for (const resume of forRoom.splice(0)) resume();
      await closing;
    },
  };
}

/** The vector of an entry: the stored one, or a new one where the model can fuse the item. Never rejects. */
async function fuseEntry({ itemId, known }: Entry, model: ItemModel, items: Pick<ItemStore, 'hiddenStates'>): Promise<FuseOutcome> {
  if (known === null || known.stored !== null) return { stored: known?.stored ?? null, isNew: false };
  try {
    const stored = await fuseItem(model, itemId, known.hasStates ? await items.hiddenStates(itemId) : null);
    return { stored, isNew: stored !== null };
  } catch (error) {
    return { error: error as Error };
  }
}
