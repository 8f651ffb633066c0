import { setTimeout as sleep } from 'node:timers/promises';
import { storageFaultOf } from '../storage-faults.js';
import type { ChangeFeed, ItemChange } from '../store/changes.js';
import type { FeedRound, IndexLevels } from './index-levels.js';

/** Changes read from the feed at once. */
const FEED_BATCH = 1024;
const RETRY_MS = 1000;

/** Reads the changes of items from the feed as they come. */
export interface FeedFollower {
  /** Reads what is newer than this sequence, and whatever comes later. */
  start(after: number): void;
  /** No batch begins after this call. */
  stop(): void;
  /** Resolves when no batch is being read. */
  idle(): Promise<void>;
}

export interface FollowerSetup {
  changes: Pick<ChangeFeed, 'itemSequence' | 'since' | 'onItemChange'>;
  levels: Pick<IndexLevels, 'openRound'>;
  /**
   * Resolves when the batch is applied; rejects by the store before anything of it is. `indexed` resolves when the searches have followed;
   * it is wrapped, or it would be awaited.
   */
  take: (batch: readonly ItemChange[], round: FeedRound) => Promise<{ indexed: Promise<void> }>;
  /** Awaited between two batches. */
  pace: (indexed: Promise<void>) => Promise<void>;
  onError: (error: Error) => void;
  /** Time until a batch is read again that the disk has failed, ms. */
  retryMs?: number;
}

export function createFeedFollower({ changes, levels, take, pace, onError, retryMs = RETRY_MS }: FollowerSetup): FeedFollower {
  let position = 0;
  let hasNews = false;
  let isStopped = false;
  let reading: Promise<void> | null = null;
  let stopListening = (): void => undefined;

  /** Reads a batch, again and again while the disk fails: nothing is applied before the store is read. */
  const readBatch = async (round: FeedRound): Promise<{ batch: readonly ItemChange[]; indexed: Promise<void> }> => {
    for (;;) {
      try {
        const batch = await changes.since(position, FEED_BATCH);
        return { batch, ...(await take(batch, round)) };
      } catch (error) {
        if (isStopped || storageFaultOf(error) !== 'failed') throw error;
        await sleep(retryMs);
      }
    }
  };
  /** Reads until there is nothing new. A level rises when all of it is read: a batch leaves out an item whose newest change comes later. */
  const readRound = async (): Promise<void> => {
    const round = levels.openRound();
    while (!isStopped) {
      const newest = changes.itemSequence;
      const { batch, indexed } = await readBatch(round);
      position = batch.at(-1)?.sequence ?? Math.max(position, newest);
      if (position >= newest) {
        round.close(position);
        return;
      }
      await pace(indexed);
    }
  };
  const read = async (): Promise<void> => {
    await null; // the changes of one commit are told one by one
    try {
      while (hasNews && !isStopped) {
        hasNews = false;
        await readRound();
      }
    } catch (error) {
      onError(error as Error);
    } finally {
      reading = null;
    }
  };
  const wake = (): void => {
    hasNews = true;
    if (!isStopped) reading ??= read();
  };

  return {
    start: (after) => {
      position = after;
      stopListening = changes.onItemChange(wake);
      wake();
    },
    stop: () => {
      isStopped = true;
      stopListening();
    },
    idle: async () => void (await reading),
  };
}
