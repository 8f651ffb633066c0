import type { Logger } from 'pino';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ChangeFeed, ItemChange } from '../store/changes.js';
import type { ItemStore } from '../store/items.js';
import type { VectorStore } from '../store/vectors.js';
import { createFeedFollower } from './feed-follower.js';
import { createFuseQueue } from './fuse-queue.js';
import { indexChangeOf } from './index-change.js';
import { createIndexLevels, type FeedRound } from './index-levels.js';
import { loadFromStore, type LoadOptions } from './index-loading.js';
import type { ItemModel } from './item-fusing.js';
import { readKnown } from './known-item.js';

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

type VectorReads = Pick<VectorStore, 'list' | 'getMany' | 'save'>;

export function createIndexer({ model, stores, retrieval, log, onFailure }: IndexerSetup): Indexer {
  const { vectors, changes } = stores;
  const { fingerprint } = model.artifact;
  const levels = createIndexLevels();
  let handled = 0;
  let isCatchingUp = false;
  let failed: Error | null = null;
  let isClosed = false;
  /** While it loads: the items that have changed since. */
  let claimedIds: Set<string> | null = null;

  const end = (error: Error): void => {
    follower.stop();
    levels.fail(error);
    queue.fail(error);
  };
  const fail = (error: Error): void => {
    if (failed !== null || isClosed) return;
    failed = error;
    log.error({ err: error, fingerprint }, 'an indexer has failed');
    end(error);
    onFailure(error);
  };
  const queue = createFuseQueue({ model, stores, retrieval, log, onError: fail });

  /** In the order of these calls, whenever they resolve. */
  const apply = async (list: readonly IndexChange[], round: FeedRound): Promise<void> => {
    const release = round.holdForIndex();
    const waiting = new Set<string>(); // these will be put when they are fused
    for (const change of list) if (change.kind === 'fields' && queue.has(change.fields.item_id)) waiting.add(change.fields.item_id);
    try {
      const { unknown } = await retrieval.apply(list);
      for (const itemId of unknown) if (!waiting.has(itemId) && !queue.has(itemId)) queue.add(itemId, null, round.holdForFusing());
      release();
    } catch (error) {
      fail(error as Error);
    }
  };
  const take = async (batch: readonly ItemChange[], round: FeedRound): Promise<{ indexed: Promise<void> }> => {
    const known = await readKnown(batch, fingerprint, vectors);
    const target = { model, queue, holdForFusing: round.holdForFusing };
    const list: IndexChange[] = [];
    batch.forEach((change, n) => {
      claimedIds?.add(change.item_id);
      const asked = indexChangeOf(change, known[n] ?? null, target);
      if (asked !== null) list.push(asked);
    });
    handled += batch.length;
    return { indexed: list.length === 0 ? Promise.resolve() : apply(list, round) };
  };
  const pace = async (indexed: Promise<void>): Promise<void> => {
    if (!isCatchingUp) return;
    await indexed;
    await queue.hasRoom();
  };
  const follower = createFeedFollower({ changes, levels, take, pace, onError: fail });

  const caughtUp = (): Promise<void> => levels.reached('searchable', changes.itemSequence);
  const throwIfIncomplete = (): void => {
    if (queue.failure !== null) throw queue.failure;
  };

  return {
    indexed: async ({ itemId, sequence }, level) => {
      await levels.reached(level === 'applied' ? 'applied' : 'indexed', sequence);
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
      levels.openRound().close(before); // what is older is read from the store
      follower.start(before);
      const loaded = await loadFromStore(
        { model, stores, retrieval, log, isClaimed: (itemId) => claimed.has(itemId) },
        {
          ...options,
          pace: async () => {
            await pace?.();
            if (isClosed || failed !== null) throw failed ?? closedError();
          },
        },
      );
      claimedIds = null;
      await caughtUp();
      throwIfIncomplete();
      return loaded;
    },
    follow: async (after, missing = []) => {
      const round = levels.openRound();
      isCatchingUp = true;
      follower.start(after);
      for (const itemId of missing) {
        if (!queue.has(itemId)) queue.add(itemId, null, round.holdForFusing());
        await queue.hasRoom();
      }
      round.close(after);
      await caughtUp();
      throwIfIncomplete();
      isCatchingUp = false;
      return { replayed: handled + missing.length };
    },
    close: async () => {
      isClosed = true;
      end(closedError());
      const closing = queue.close(); // lets who waits for room go on
      await follower.idle();
      await closing;
    },
  };
}

const closedError = (): Error => new Error('the indexer is closed');
