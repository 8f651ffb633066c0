import type { ChangeFeed, ItemChange } from '../store/changes.js';
import type { IndexProgress, ProgressRound } from './index-progress.js';

/** Changes read from the feed at once. */
const FEED_BATCH = 1024;

/** Reads the change feed whenever an item has changed. */
export interface FeedReader {
  /**
   * Reads from this sequence on, and again after each change.
   * @param isPaced waits for the index and for room in the queue after each batch, until `endPacing`
   */
  start(after: number, isPaced: boolean): void;
  endPacing(): void;
  /** Reads no further batch. */
  stop(): void;
  /** Resolves when no batch is being read. */
  idle(): Promise<void>;
}

export interface FeedReaderSetup {
  changes: Pick<ChangeFeed, 'itemSequence' | 'since' | 'onItemChange'>;
  progress: Pick<IndexProgress, 'openRound' | 'closeRound'>;
  /** Resolves when the changes are applied, to what resolves when the searches have followed; wrapped, or it would be awaited. */
  handle: (batch: readonly ItemChange[], round: ProgressRound) => Promise<{ indexed: Promise<void> }>;
  hasRoom: () => Promise<void>;
  /** The feed could not be read, or `handle` has failed. */
  onError: (error: Error) => void;
}

/** Does not read before `start`. */
export function createFeedReader({ changes, progress, handle, hasRoom, onError }: FeedReaderSetup): FeedReader {
  let position = 0;
  let isPaced = false;
  let hasNews = false;
  let isStopped = false;
  let reading: Promise<void> | null = null;
  let stopListening = (): void => undefined;

  /** Reads until there is nothing new. A level rises when all of it is read: a batch leaves out an item whose newest change comes later. */
  const readNews = async (): Promise<void> => {
    const round = progress.openRound();
    while (!isStopped) {
      const newest = changes.itemSequence;
      const batch = await changes.since(position, FEED_BATCH);
      const { indexed } = await handle(batch, round);
      position = batch.at(-1)?.sequence ?? Math.max(position, newest);
      if (position >= newest) {
        progress.closeRound(round, position);
        return;
      }
      if (!isPaced) continue;
      await indexed;
      await hasRoom();
    }
  };
  const read = async (): Promise<void> => {
    await null; // the changes of one commit are announced one by one
    try {
      while (hasNews && !isStopped) {
        hasNews = false;
        await readNews();
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
    start: (after, paced) => {
      isPaced = paced;
      position = after;
      stopListening = changes.onItemChange(wake);
      wake();
    },
    endPacing: () => {
      isPaced = false;
    },
    stop: () => {
      isStopped = true;
      stopListening();
    },
    idle: async () => void (await reading),
  };
}
