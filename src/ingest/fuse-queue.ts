import type { Logger } from 'pino';
import type { ItemFields, StoredVector } from '../domain/item.js';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ItemStore } from '../store/items.js';
import type { FusedItem, VectorStore } from '../store/vectors.js';
import { createFuseEntries, type FuseEntry } from './fuse-entries.js';
import { fuseItem, saveFused, soundStates, type ItemModel } from './item-fusing.js';
import { createLanes } from './lanes.js';
import { readItems, type KnownItem } from './known-item.js';

/** Two lanes: one batch is fused while the previous one is saved. */
const LANES = 2;
/** Items of one batch; bounds the hidden states in memory. */
const LANE_BATCH = 256;
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

type FuseOutcome = { stored: StoredVector | null; isNew: boolean } | { error: Error };

export function createFuseQueue({ model, stores, retrieval, log, onError }: FuseQueueSetup): FuseQueue {
  const { fingerprint } = model.artifact;
  const entries = createFuseEntries();
  const failures = new Map<string, Error>();

  const discard = (itemId: string): void => {
    failures.delete(itemId);
    entries.discard(itemId);
  };

  /** Reads the entries without a known item. Entries of deleted items are discarded. */
  const readUnknown = async (batch: readonly FuseEntry[]): Promise<void> => {
    const unknown = batch.filter(({ known }) => known === null);
    if (unknown.length === 0) return;
    const ids = unknown.map(({ itemId }) => itemId);
    const stored = await readItems(ids, fingerprint, stores.vectors);
    for (const entry of unknown) {
      const known = stored.get(entry.itemId);
      if (known !== undefined) entry.known = known;
      else if (entries.isCurrent(entry)) discard(entry.itemId);
    }
  };
  const fuse = async ({ itemId, known }: FuseEntry): Promise<FuseOutcome> => {
    if (known === null || known.stored !== null) return { stored: known?.stored ?? null, isNew: false };
    try {
      const stored = await fuseItem(model, itemId, known.hasStates ? await soundStates(itemId, stores.items, log) : null);
      return { stored, isNew: stored !== null };
    } catch (error) {
      return { error: error as Error };
    }
  };
  /** The vector to put. When fusing has failed, there is none: the vector of the item's old hidden states must not stay. */
  const vectorOf = (itemId: string, outcome: FuseOutcome): StoredVector | null => {
    if (!('error' in outcome)) return outcome.stored;
    failures.set(itemId, outcome.error);
    log.error({ err: outcome.error, fingerprint }, 'a stored item could not be fused: it has no vector until it is written again');
    return null;
  };
  const fuseBatch = async (batch: readonly FuseEntry[]): Promise<void> => {
    await readUnknown(batch);
    const outcomes = await Promise.all(batch.map(fuse));
    const changes: IndexChange[] = [];
    const made: FusedItem[] = [];
    const put: FuseEntry[] = [];
    batch.forEach((entry, n) => {
      const outcome = outcomes[n];
      const { itemId, known } = entry;
      if (outcome === undefined || known === null || !entries.isCurrent(entry)) return; // superseded
      entries.beginIndexing(entry);
      put.push(entry);
      const stored = vectorOf(itemId, outcome);
      changes.push({ kind: 'put', fields: known.fields, created: known.created, stored });
      if (stored !== null && 'isNew' in outcome && outcome.isNew)
        made.push({ item_id: itemId, sequence: known.sequence, vector: stored.vector, id_share: stored.id_share });
    });
    const saved = saveFused(made, { model, stores, log });
    if (changes.length > 0) await retrieval.apply(changes);
    put.forEach(entries.endIndexing);
    await saved;
  };

  const lanes = createLanes({ count: LANES, take: () => entries.take(LANE_BATCH), run: fuseBatch, onError });

  const { has, updateFields, isPending, settled, fail, hasRoom } = entries;
  return {
    has,
    add: (itemId, known, done) => {
      failures.delete(itemId);
      entries.add(itemId, known, done);
      lanes.start();
    },
    updateFields,
    discard,
    isPending,
    settled,
    fail,
    get failure() {
      const [first = null] = failures.values();
      return first;
    },
    hasRoom,
    close: async () => {
      entries.close();
      await lanes.close();
    },
  };
}
