import { ANYTHING } from '../domain/eligibility.js';
import type { ItemInterner } from '../domain/item-interner.js';
import { SearchEnded, type Query } from '../retrieval/retrieval.js';
import type { EventStore } from '../store/events.js';
import type { Generation } from './generation.js';

const DEPTH = 20;

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
 * Mean recall@20 of the index against exact search. The queries run one after another, so that requests are answered between them.
 * @returns null when there is nothing to search
 */
export async function measureRecall(generation: Measured, source: HistorySource, { users, queries, pace }: RecallSample): Promise<number | null> {
  const recalls: number[] = [];
  for (let query = 0; query < queries; query++) {
    const history = await historyFor(users[query], generation, source);
    await pace?.();
    const truth = await search(generation, history, true);
    if (truth.length === 0) continue;
    const found = new Set(await search(generation, history, false));
    recalls.push(truth.filter((index) => found.has(index)).length / truth.length);
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

/** Item indexes of the candidates. */
async function search({ retrieval }: Measured, history: number[], exact: boolean): Promise<number[]> {
  const query: Query = { history, similarTo: null, disliked: [], exact, explain: false, scoresOthers: false, isLate: () => false };
  try {
    const stream = await retrieval.search(query, ANYTHING, DEPTH);
    const candidates = stream === null ? [] : await stream.next(DEPTH, null);
    return candidates.map(({ index }) => index);
  } catch (error) {
    if (error instanceof SearchEnded) return []; // the items of the history are gone
    throw error;
  }
}
