import { createIndexedLevel } from './indexed-level.js';
import { createIndexRounds, type IndexRound } from './index-rounds.js';

/** Changes that were read from the feed together, on their way to both levels. */
export interface ProgressRound {
  /** Ends when everything in it is searchable. */
  all: IndexRound;
  /** Ends when the searches have followed what could be applied at once. */
  index: IndexRound;
}

/** Sequences up to which an indexer has brought the retrieval, on three levels. */
export interface IndexProgress {
  openRound(): ProgressRound;
  /** Everything up to this sequence was read in this round or an earlier one, and is applied. */
  closeRound(round: ProgressRound, upTo: number): void;
  /** Resolves when fields and deletions up to this sequence are in effect. Rejects after `fail`, as the other two do. */
  applied(sequence: number): Promise<void>;
  /** Resolves when every search finds what was applied up to this sequence, except items that wait for their vector. */
  inIndex(sequence: number): Promise<void>;
  /** Resolves when every search finds every item up to this sequence. */
  searchable(sequence: number): Promise<void>;
  /** Rejects every present and later wait for a sequence that was not reached. */
  fail(error: Error): void;
}

/** Starts at sequence 0. */
export function createIndexProgress(): IndexProgress {
  const applied = createIndexedLevel();
  const inIndex = createIndexedLevel();
  const searchable = createIndexedLevel();
  const rounds = createIndexRounds(searchable);
  const indexRounds = createIndexRounds(inIndex);
  return {
    openRound: () => ({ all: rounds.open(), index: indexRounds.open() }),
    closeRound: ({ all, index }, upTo) => {
      applied.advance(upTo);
      index.close(upTo);
      all.close(upTo);
    },
    applied: (sequence) => applied.reached(sequence),
    inIndex: (sequence) => inIndex.reached(sequence),
    searchable: (sequence) => searchable.reached(sequence),
    fail: (error) => {
      for (const level of [applied, inIndex, searchable]) level.fail(error);
    },
  };
}
