import type { Logger } from 'pino';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ChangeFeed, ItemChange } from '../store/changes.js';
import type { ItemStore } from '../store/items.js';
import type { ItemWithVector, VectorStore } from '../store/vectors.js';
import { createFuseQueue } from './fuse-queue.js';
import { loadFromStore, type LoadOptions } from './index-loading.js';
import { createIndexRounds, type IndexRound } from './index-rounds.js';
import { createIndexedLevel } from './indexed-level.js';
import { isFusable, type ItemModel } from './item-fusing.js';
import { knownByChange, knownByRow, type KnownItem } from './known-item.js';

/** Changes read from the feed at once. */
const FEED_BATCH = 1024;

/** `applied`: fields and deletions hold for every later request. `searchable`: every search finds the item by its new vector. */
export type IndexLevel = 'applied' | 'searchable';

/** A change of one item that a write has made. */
export interface WrittenChange {
  itemId: string;
  sequence: number;
}

/** Keeps the retrieval of one model up to date: it reads the change feed, and fuses what nobody has fused for its model. */
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
  /** Why its model must not become the serving one: it has failed, or an item that it could not fuse is not searchable. */
  readonly failure: Error | null;
  /** Fills the retrieval from the store and follows the feed from there; resolves when both are done. @throws when an item cannot be fused */
  load(options: LoadOptions): Promise<{ fused: number }>;
  /**
   * Follows the feed from this sequence; for a retrieval that holds everything up to it.
   * @param missing items that it does not hold, whenever they were written
   * @returns when it has caught up, how many items were replayed
   * @throws when an item cannot be fused
   */
  follow(after: number, missing?: readonly string[]): Promise<{ replayed: number }>;
  /** Ends it; resolves when it uses neither model nor retrieval any more. */
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

interface Round {
  /** Until everything in it is searchable. */
  all: IndexRound;
  /** Until the searches have followed what could be applied at once. */
  index: IndexRound;
}

type VectorReads = Pick<VectorStore, 'list' | 'getMany' | 'save'>;

export function createIndexer({ model, stores, retrieval, log, onFailure }: IndexerSetup): Indexer {
  const { vectors, changes } = stores;
  const { fingerprint } = model.artifact;
  const applied = createIndexedLevel();
  /** What was applied is found by every search, except for items that wait for their vector. */
  const inIndex = createIndexedLevel();
  const searchable = createIndexedLevel();
  const rounds = createIndexRounds(searchable);
  const indexRounds = createIndexRounds(inIndex);
  /** What was read of the feed. */
  let position = 0;
  let handled = 0;
  let isCatchingUp = false;
  let hasNews = false;
  let reading: Promise<void> | null = null;
  let stopListening = (): void => undefined;
  let failed: Error | null = null;
  let isClosed = false;
  /** While it loads: the items that have changed since. */
  let claimedIds: Set<string> | null = null;

  const end = (error: Error): void => {
    stopListening();
    for (const level of [applied, inIndex, searchable]) level.fail(error);
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

  const openRound = (): Round => ({ all: rounds.open(), index: indexRounds.open() });
  const closeRound = ({ all, index }: Round, upTo: number): void => {
    applied.advance(upTo);
    index.close(upTo);
    all.close(upTo);
  };
  /** In the order of these calls, whenever they resolve. */
  const apply = async (list: readonly IndexChange[], { all, index }: Round): Promise<void> => {
    const releases = [index.hold(), all.hold()];
    const waiting = new Set<string>(); // these will be put when they are fused
    for (const change of list) if (change.kind === 'fields' && queue.has(change.fields.item_id)) waiting.add(change.fields.item_id);
    try {
      const { unknown } = await retrieval.apply(list);
      for (const itemId of unknown) if (!waiting.has(itemId) && !queue.has(itemId)) queue.add(itemId, null, all.hold());
      for (const release of releases) release();
    } catch (error) {
      fail(error as Error);
    }
  };

  /** What the change asks of the retrieval; null: nothing. */
  const indexChange = (change: ItemChange, known: KnownItem | null, { all }: Round): IndexChange | null => {
    const itemId = change.item_id;
    if (change.kind === 'delete') {
      queue.discard(itemId);
      return { kind: 'delete', itemId };
    }
    if (known === null) return null; // deleted meanwhile: the feed will say so
    const { fields, created, stored } = known;
    if (change.kind === 'fields') {
      queue.updateFields(itemId, fields, known.sequence);
      return { kind: 'fields', fields };
    }
    if (stored === null && isFusable(model, itemId, known.hasStates)) {
      queue.add(itemId, known, all.hold());
      return { kind: 'fields', fields }; // an item that is known keeps its old vector until the new one is fused
    }
    queue.discard(itemId);
    return { kind: 'put', fields, created, stored };
  };

  /** Resolves when the changes are applied. @returns what resolves when the searches have followed; wrapped, or it would be awaited */
  const take = async (batch: readonly ItemChange[], round: Round): Promise<{ indexed: Promise<void> }> => {
    const unread = batch.filter(({ kind, written }) => written === null && kind !== 'delete').map(({ item_id: itemId }) => itemId);
    const rows = new Map<string, ItemWithVector>();
    if (unread.length > 0) for (const row of await vectors.getMany(fingerprint, unread)) rows.set(row.item_id, row);
    const list: IndexChange[] = [];
    for (const change of batch) {
      claimedIds?.add(change.item_id);
      const row = rows.get(change.item_id);
      const known = row === undefined ? knownByChange(change, fingerprint) : knownByRow(row);
      const asked = indexChange(change, known, round);
      if (asked !== null) list.push(asked);
    }
    handled += batch.length;
    return { indexed: list.length === 0 ? Promise.resolve() : apply(list, round) };
  };

  /** Reads until there is nothing new. A level rises when all of it is read: a batch leaves out an item whose newest change comes later. */
  const readFeed = async (): Promise<void> => {
    const round = openRound();
    while (!hasEnded()) {
      const newest = changes.itemSequence;
      const batch = await changes.since(position, FEED_BATCH);
      const { indexed } = await take(batch, round);
      position = batch.at(-1)?.sequence ?? Math.max(position, newest);
      if (position >= newest) {
        closeRound(round, position);
        return;
      }
      if (!isCatchingUp) continue;
      await indexed;
      await queue.hasRoom();
    }
  };
  const read = async (): Promise<void> => {
    await null; // the changes of one commit are told one by one
    try {
      while (hasNews && !hasEnded()) {
        hasNews = false;
        await readFeed();
      }
    } catch (error) {
      fail(error as Error);
    } finally {
      reading = null;
    }
  };
  const wake = (): void => {
    hasNews = true;
    if (!hasEnded()) reading ??= read();
  };

  const start = (after: number): void => {
    position = after;
    stopListening = changes.onItemChange(wake);
    wake();
  };
  const caughtUp = (): Promise<void> => searchable.reached(changes.itemSequence);
  const throwIfIncomplete = (): void => {
    if (queue.failure !== null) throw queue.failure;
  };

  return {
    indexed: async ({ itemId, sequence }, level) => {
      await (level === 'applied' ? applied : inIndex).reached(sequence);
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
      closeRound(openRound(), before); // what is older is read from the store
      start(before);
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
      const round = openRound();
      isCatchingUp = true;
      start(after);
      for (const itemId of missing) {
        if (!queue.has(itemId)) queue.add(itemId, null, round.all.hold());
        await queue.hasRoom();
      }
      closeRound(round, after);
      await caughtUp();
      throwIfIncomplete();
      isCatchingUp = false;
      return { replayed: handled + missing.length };
    },
    close: async () => {
      isClosed = true;
      end(closedError());
      const closing = queue.close(); // lets who waits for room go on
      await reading;
      await closing;
    },
  };
}

const closedError = (): Error => new Error('the indexer is closed');
