import { ANYTHING } from '../domain/eligibility.js';
import type { ItemInterner } from '../domain/item-interner.js';
import { SearchEnded, type CandidateStream, type Query } from '../retrieval/retrieval.js';
import type { EventStore } from '../store/events.js';
import type { Generation } from './generation.js';

const DEPTH = 20;
/** Scores that differ by less are the same: a stream rounds to six decimals. */
const SAME_SCORE = 2e-6;

/** The histories that recall is measured with. */
export interface HistorySource {
  events: Pick<EventStore, 'history'>;
  interner: Pick<ItemInterner, 'find'>;
}

export interface RecallSample {
  /** Users whose histories are the first queries. The other queries are single random items. */
  users: readonly string[];
  queries: number;
  /** Awaited before each query. */
  pace?: () => Promise<void>;
}

type Measured = Pick<Generation, 'artifact' | 'retrieval' | 'catalogue'>;

/**
 * Mean recall@20 of the index against exact search. An item with the score of the 20th exact one is as good as it: of many equal vectors,
 * any may be found. The queries run one after another, so that requests are answered between them.
 * @returns null when there is nothing to search
 */
export async function measureRecall(generation: Measured, source: HistorySource, { users, queries, pace }: RecallSample): Promise<number | null> {
  const recalls: number[] = [];
  for (let query = 0; query < queries; query++) {
    const history = await historyFor(users[query], generation, source);
    await pace?.();
    const recall = await recallOf(generation, history);
    if (recall !== null) recalls.push(recall);
  }
  return recalls.length === 0 ? null : recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
}

/** Item indexes of the user's history, newest first; of one random item when there is no history. */
async function historyFor(user: string | undefined, { artifact, catalogue }: Measured, { events, interner }: HistorySource): Promise<number[]> {
  const positives = user === undefined ? [] : await events.history(user, artifact.manifest.max_history);
  if (positives.length > 0) return positives.flatMap(({ item_id: itemId }) => interner.find(itemId) ?? []);
  const item = await catalogue.random();
  return item === undefined ? [] : [item.index];
}

/** Share of the exact best whose scores the index has reached; null: there is nothing to search. */
async function recallOf(generation: Measured, history: number[]): Promise<number | null> {
  const exact = await open(generation, history, true);
  const truth = (await exact?.next(DEPTH, null)) ?? [];
  const least = truth.at(-1)?.score;
  if (exact === null || least === undefined) return null;
  const found = (await (await open(generation, history, false))?.next(DEPTH, null)) ?? [];
  const items = (await generation.retrieval.hydrate(found)).filter((item) => item !== undefined);
  const scores = await exact.score(items); // by the same tower: the index may be asked by an 8-bit one
  return Math.min(1, scores.filter((score) => score >= least - SAME_SCORE).length / truth.length);
}

async function open({ retrieval }: Measured, history: number[], exact: boolean): Promise<CandidateStream | null> {
  const query: Query = { history, similarTo: null, disliked: [], exact, explain: false, scoresOthers: exact, isLate: () => false };
  try {
    return await retrieval.search(query, ANYTHING, DEPTH);
  } catch (error) {
    if (error instanceof SearchEnded) return null; // the items of the history are gone
    throw error;
  }
}
