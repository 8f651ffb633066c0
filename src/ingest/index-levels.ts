import { createIndexRounds } from './index-rounds.js';
import { createIndexedLevel } from './indexed-level.js';

/** Changes that were read from the feed together. */
export interface FeedRound {
  /** The returned function tells that the searches have followed all that could be applied at once. */
  holdForIndex(): () => void;
  /** The returned function tells that an item is fused and searchable. */
  holdForFusing(): () => void;
  /** Everything up to this sequence was read and applied in this round or an earlier one. */
  close(upTo: number): void;
}

/** How far an indexer has got, at three levels. */
export interface IndexLevels {
  openRound(): FeedRound;
  /**
   * Resolves when every change up to this sequence is at the level; rejects after `fail`. `applied`: fields and deletions hold for every
   * later request. `indexed`: every search has followed, except for items that wait for their vector. `searchable`: these as well.
   */
  reached(level: 'applied' | 'indexed' | 'searchable', sequence: number): Promise<void>;
  fail(error: Error): void;
}

export function createIndexLevels(): IndexLevels {
  const levels = { applied: createIndexedLevel(), indexed: createIndexedLevel(), searchable: createIndexedLevel() };
  const indexing = createIndexRounds(levels.indexed);
  const fusing = createIndexRounds(levels.searchable);
  return {
    openRound: () => {
      const [index, all] = [indexing.open(), fusing.open()];
      return {
        holdForIndex: () => {
          const releases = [index.hold(), all.hold()];
          return () => releases.forEach((release) => release());
        },
        holdForFusing: all.hold,
        close: (upTo) => {
          levels.applied.advance(upTo);
          index.close(upTo);
          all.close(upTo);
        },
      };
    },
    reached: (level, sequence) => levels[level].reached(sequence),
    fail: (error) => {
      for (const level of Object.values(levels)) level.fail(error);
    },
  };
}
