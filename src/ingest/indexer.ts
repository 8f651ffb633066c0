import type { Logger } from 'pino';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ChangeFeed, ItemChange } from '../store/changes.js';
import type { ItemStore } from '../store/items.js';
import type { ItemWithVector, VectorStore } from '../store/vectors.js';
import { createFeedReader } from './feed-reader.js';
import { createFuseQueue } from './fuse-queue.js';
import { createIndexProgress, type ProgressRound } from './index-progress.js';
import { loadFromStore, type LoadOptions } from './index-loading.js';
import { isFusable, type ItemModel } from './item-fusing.js';
import { knownByChange, knownByRow, type KnownItem } from './known-item.js';

/** `applied`: fields and deletions hold for every later request. `searchable`: every search finds the item by its new vector. */
export type IndexLevel = 'applied' | 'searchable';

/** A change of one item that a write has made. */
export interface WrittenChange {
  itemId: string;
  sequence: number;
}

/** Keeps the retrieval of one model up to date: reads the change feed, and fuses items that have no vector of its model. */
export interface Indexer {
  /**
   * Resolves when this change is at this level; it does not wait for other items that are being fused.
   * @throws the error by which the indexer failed, or that it was closed
   */
  indexed(change: WrittenChange, level: IndexLevel): Promise<void>;
  /**
   * Resolves when every change that was made before this call is searchable.
   * @throws as `indexed`
   */
  caughtUp(): Promise<void>;
  /** Why its model must not become active: the indexer has failed, or could not fuse an item. Null: neither. */
  readonly failure: Error | null;
  /** Fills the retrieval from the store and follows the feed from there; resolves when both are done. @throws when an item cannot be fused */
  load(options: LoadOptions): Promise<{ fused: number }>;
  /**
   * Follows the feed from this sequence, for a retrieval that holds everything up to it. Resolves when it has caught up.
   * @param missing ids of items that the retrieval lacks
   * @returns the number of replayed items
   * @throws when an item cannot be fused
   */
  follow(after: number, missing?: readonly string[]): Promise<{ replayed: number }>;
  /** Ends the indexer. Resolves when it uses neither model nor retrieval any more. */
  close(): Promise<void>;
}

export interface IndexerSetup {
  model: ItemModel;
  stores: { items: Pick<ItemStore, 'hiddenStates'>; vectors: VectorReads; changes: Pick<ChangeFeed, 'itemSequence' | 'since' | 'onItemChange'> };
  retrieval: Pick<Retrieval, 'apply'>;
  log: Pick<Logger, 'error'>;
  /** The store or the retrieval has failed, and nothing is indexed any more. Called once at most. */
  onFailure: (error: Error) => void;
}

type VectorReads = Pick<VectorStore, 'list' | 'getMany' | 'save'>;

export function createIndexer({ model, stores, retrieval, log, onFailure }: IndexerSetup): Indexer {
  const { vectors, changes } = stores;
  const { fingerprint } = model.artifact;
  const progress = createIndexProgress();
  /** Changes handled so far. */
  let handled = 0;
  let failed: Error | null = null;
  let isClosed = false;
  /** Items that have changed since loading began; null: it is not loading. */
  let claimedIds: Set<string> | null = null;

  const end = (error: Error): void => {
    reader.stop();
    progress.fail(error);
    queue.fail(error);
  };
  const fail = (error: Error): void => {
    if (failed !== null || isClosed) return;
    failed = error;
    log.error({ err: error, fingerprint }, 'an indexer has failed');
    end(error);
    onFailure(error);
  };
  const hasEnded = (): boolean => isClosed || failed !== null;
  const queue = createFuseQueue({ model, stores, retrieval, log, onError: fail });

  /** Changes are applied in the order of the calls, not of their ends. */
  const apply = async (list: readonly IndexChange[], { all, index }: ProgressRound): Promise<void> => {
    const releases = [index.hold(), all.hold()];
    const waiting = new Set<string>(); // these are put when they are fused
    for (const change of list) if (change.kind === 'fields' && queue.has(change.fields.item_id)) waiting.add(change.fields.item_id);
    try {
      const { unknown } = await retrieval.apply(list);
      for (const itemId of unknown) if (!waiting.has(itemId) && !queue.has(itemId)) queue.add(itemId, null, all.hold());
      for (const release of releases) release();
    } catch (error) {
      fail(error as Error);
    }
  };

  /** What the change requires of the retrieval; null: nothing. */
  const indexChange = (change: ItemChange, known: KnownItem | null, { all }: ProgressRound): IndexChange | null => {
    const itemId = change.item_id;
    if (change.kind === 'delete') {
      queue.discard(itemId);
      return { kind: 'delete', itemId };
    }
    if (known === null) return null; // deleted meanwhile; the feed has that change too
    const { fields, created, stored } = known;
    if (change.kind === 'fields') {
      queue.updateFields(itemId, fields, known.sequence);
      return { kind: 'fields', fields };
    }
    if (stored === null && isFusable(model, itemId, known.hasStates)) {
      queue.add(itemId, known, all.hold());
      return { kind: 'fields', fields }; // a known item keeps its old vector until the new one is fused
    }
    queue.discard(itemId);
    return { kind: 'put', fields, created, stored };
  };

  const handle = async (batch: readonly ItemChange[], round: ProgressRound): Promise<{ indexed: Promise<void> }> => {
    const unread = batch.filter(({ kind, written }) => written === null && kind !== 'delete').map(({ item_id: itemId }) => itemId);
    const rows = new Map<string, ItemWithVector>();
    if (unread.length > 0) for (const row of await vectors.getMany(fingerprint, unread)) rows.set(row.item_id, row);
    const list: IndexChange[] = [];
    for (const change of batch) {
      claimedIds?.add(change.item_id);
      const row = rows.get(change.item_id);
      const known = row === undefined ? knownByChange(change, fingerprint) : knownByRow(row);
      const required = indexChange(change, known, round);
      if (required !== null) list.push(required);
    }
    handled += batch.length;
    return { indexed: list.length === 0 ? Promise.resolve() : apply(list, round) };
  };

  const reader = createFeedReader({ changes, progress, handle, hasRoom: queue.hasRoom, onError: fail });
  const caughtUp = (): Promise<void> => progress.searchable(changes.itemSequence);
  const throwIfIncomplete = (): void => {
    if (queue.failure !== null) throw queue.failure;
  };

  return {
    indexed: async ({ itemId, sequence }, level) => {
      await (level === 'applied' ? progress.applied(sequence) : progress.inIndex(sequence));
      if (level === 'searchable' && queue.isPending(itemId)) await queue.settled(itemId);
    },
    caughtUp,
    get failure() {
      return failed ?? queue.failure;
    },
    load: async (options) => {
      const claimed = new Set<string>();
      claimedIds = claimed;
      const { pace } = options;
      const before = changes.itemSequence;
      progress.closeRound(progress.openRound(), before); // what is older is read from the store
      reader.start(before, false);
      const loaded = await loadFromStore(
        { model, stores, retrieval, isClaimed: (itemId) => claimed.has(itemId) },
        {
          ...options,
          pace: async () => {
            await pace?.();
            if (hasEnded()) throw failed ?? closedError();
          },
        },
      );
      claimedIds = null;
      await caughtUp();
      throwIfIncomplete();
      return loaded;
    },
    follow: async (after, missing = []) => {
      const round = progress.openRound();
      reader.start(after, true);
      for (const itemId of missing) {
        if (!queue.has(itemId)) queue.add(itemId, null, round.all.hold());
        await queue.hasRoom();
      }
      progress.closeRound(round, after);
      await caughtUp();
      throwIfIncomplete();
      reader.endPacing();
      return { replayed: handled + missing.length };
    },
    close: async () => {
      isClosed = true;
      end(closedError());
      const closing = queue.close(); // ends waits for room, also that of the reader
      await reader.idle();
      await closing;
    },
  };
}

const closedError = (): Error => new Error('the indexer is closed');
