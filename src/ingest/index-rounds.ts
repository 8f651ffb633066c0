import type { IndexedLevel } from './indexed-level.js';

/** A group of changes that were read from the feed together. */
export interface IndexRound {
  /** Keeps the round under way until the returned function is called. */
  hold(): () => void;
  /** Everything up to this sequence was read in this round or an earlier one. */
  close(upTo: number): void;
}

interface Round {
  upTo: number | null;
  held: number;
}

/** Rounds may end in any order. The level rises to the end of a round when that round and all older ones have ended. */
export function createIndexRounds(level: Pick<IndexedLevel, 'advance'>): { open(): IndexRound } {
  const rounds: Round[] = [];
  const advance = (): void => {
    for (let [oldest] = rounds; oldest !== undefined && oldest.upTo !== null && oldest.held === 0; [oldest] = rounds) {
      level.advance(oldest.upTo);
      rounds.shift();
    }
  };
  return {
    open: () => {
      const round: Round = { upTo: null, held: 0 };
      rounds.push(round);
      const release = (): void => {
        round.held--;
        advance();
      };
      return {
        hold: () => {
          round.held++;
          return release;
        },
        close: (upTo) => {
          round.upTo = upTo;
          advance();
        },
      };
    },
  };
}
