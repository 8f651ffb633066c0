import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomOf } from '../random.js';
import type { Row } from './table.js';

export interface Random {
  /** A whole number in [0, limit). */
  below(limit: number): number;
  /** Never asked of an empty list. */
  pick<Value>(values: readonly Value[]): Value;
  chance(share: number): boolean;
}

export interface Round {
  /** Repeats this round as the first one of a run. */
  seed: number;
  random: Random;
}

/** One run of a breaker. */
export interface Trial {
  seed: number;
  /** Real path of a temporary folder. */
  folder: string;
  isShort: boolean;
  /** Parts of the load that were asked for; null: all. */
  only: readonly string[] | null;
  /** Numbers by a seed. */
  random(seed: number): Random;
  /** Rounds of seeds counting up, until the number of them or the time is over. @param fallback number of rounds where none was asked for */
  rounds(fallback: number): Iterable<Round>;
  isOver(): boolean;
  /** Adds to a count of the report. */
  count(what: string, by?: number): void;
  /** Records what was not as it must be. */
  wrong(round: Pick<Round, 'seed'>, text: string): void;
  row(row: Row): void;
  /** Ends with the run, in reverse order. */
  after(task: () => unknown): void;
}

export interface Outcome {
  seed: number;
  seconds: number;
  counts: Record<string, number>;
  rows: Row[];
  wrong: string[];
}

export interface Bounds {
  seed: number;
  rounds: number | undefined;
  minutes: number | undefined;
  /** A run for continuous integration. */
  isShort: boolean;
  only: readonly string[] | null;
}

/** Reports are cut here: the first ones of a kind say enough. */
const MAX_WRONG = 200;

export const randomFrom = (seed: number): Random => {
  const random = randomOf(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  return { below, pick: (values) => values[below(values.length)] as never, chance: (share) => random() < share };
};

export async function runTrial(breaker: (trial: Trial) => Promise<void>, { seed, rounds, minutes, isShort, only }: Bounds): Promise<Outcome> {
  const started = performance.now();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'reelfuse-break-')));
  const outcome: Outcome = { seed, seconds: 0, counts: {}, rows: [], wrong: [] };
  const tasks: (() => unknown)[] = [];
  const isOver = (): boolean => minutes !== undefined && performance.now() - started > minutes * 60_000;
  const trial: Trial = {
    seed,
    folder,
    isShort,
    only,
    random: randomFrom,
    *rounds(fallback) {
      const limit = rounds ?? (minutes === undefined ? fallback : Infinity);
      for (let round = 0; round < limit && !isOver(); round++) {
        yield { seed: seed + round, random: randomFrom(seed + round) };
        outcome.counts.rounds = (outcome.counts.rounds ?? 0) + 1;
      }
    },
    isOver,
    count: (what, by = 1) => void (outcome.counts[what] = (outcome.counts[what] ?? 0) + by),
    wrong: (round, text) => {
      outcome.counts.wrong = (outcome.counts.wrong ?? 0) + 1;
      if (outcome.wrong.length < MAX_WRONG) outcome.wrong.push(`seed ${round.seed}: ${text}`);
    },
    row: (row) => void outcome.rows.push(row),
    after: (task) => void tasks.push(task),
  };
  try {
    await breaker(trial);
  } finally {
    for (const task of tasks.reverse()) await task();
    rmSync(folder, { recursive: true, force: true });
  }
  outcome.seconds = Math.round((performance.now() - started) / 100) / 10;
  return outcome;
}
