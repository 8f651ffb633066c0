import type { EventStore } from '../store/events.js';
import type { Generation } from './generation.js';
import { measureRecall, type HistorySource } from './recall.js';

const QUERIES = 64;
/** Difference in recall between two samples of queries that counts as chance. */
const RECALL_NOISE = 0.05;

export interface GateSetup extends HistorySource {
  events: Pick<EventStore, 'history' | 'users'>;
  /** Minimum recall@20 of a new generation. A rebuilt index of the serving model also passes when it is as good as the index that it replaces. */
  minRecall: number;
  /** Minimum number of searchable items of a new generation, as a share of the searchable items of the serving one. */
  minCoverage: number;
}

/** Checks that the new index holds enough items: recall alone does not show that. @throws Error that gives both numbers of items */
export async function requireCoverage(next: Generation, serving: Generation, minCoverage: number): Promise<void> {
  const [{ states: before }, { states: after }] = await Promise.all([serving.catalogue.status(), next.catalogue.status()]);
  if (after.searchable < before.searchable * minCoverage)
    throw new Error(`${after.searchable} items would be searchable, now there are ${before.searchable}; wanted are at least ${minCoverage} of them`);
}

/**
 * Checks recall@20 against exact search. A large catalogue lowers the recall of every index, so a rebuilt index may be below
 * the minimum when it is as good as the index that it replaces.
 * @param pace awaited before each query
 * @param onRecall called with the measured recall; null: there was nothing to search
 * @throws Error that gives the measured and the minimum recall
 */
export async function requireRecall(
  next: Generation,
  serving: Generation,
  { minRecall, ...source }: GateSetup,
  pace: () => Promise<void>,
  onRecall: (recall: number | null) => void,
): Promise<void> {
  const users = (await source.events.users(null, QUERIES / 2)).map(({ user_id: userId }) => userId);
  const measure = (generation: Generation): Promise<number | null> => measureRecall(generation, source, { users, queries: QUERIES, pace });
  const recall = await measure(next);
  onRecall(recall);
  if (recall === null && (await next.catalogue.status()).findable > 0) throw new Error('exact search finds nothing in the new index');
  if (recall === null || recall >= minRecall) return;
  const isRebuilt = serving.artifact.fingerprint === next.artifact.fingerprint;
  const served = isRebuilt ? await measure(serving) : null;
  if (served !== null && recall >= served - RECALL_NOISE) return;
  const compared = served === null ? '' : `, the serving one has ${served.toFixed(4)}`;
  throw new Error(`recall@20 of the new index is ${recall.toFixed(4)}, wanted is at least ${minRecall}${compared}`);
}
