import type { EventStore } from '../store/events.js';
import type { Generation } from './generation.js';
import { measureRecall, type HistorySource } from './recall.js';

const QUERIES = 64;
/** What two samples of queries may differ by. */
const RECALL_NOISE = 0.05;

export interface GateSetup extends HistorySource {
  events: Pick<EventStore, 'history' | 'users'>;
  /** Below this recall@20 a new generation is refused; one of the serving model only where that is better by more than chance. */
  minRecall: number;
  /** Nor may it have fewer searchable items than this share of those of the current one. */
  minCoverage: number;
}

/** An index that finds what it has can still have next to nothing. @throws Error saying what is missing */
export async function requireCoverage(next: Generation, serving: Generation, minCoverage: number): Promise<void> {
  const [{ states: before }, { states: after }] = await Promise.all([serving.catalogue.status(), next.catalogue.status()]);
  if (after.searchable < before.searchable * minCoverage)
    throw new Error(`${after.searchable} items would be searchable, now there are ${before.searchable}; wanted are at least ${minCoverage} of them`);
}

/**
 * What the size of the catalogue costs, it costs a rebuilt index as well: that one need only be as good as the one it replaces.
 * @param pace awaited before each query
 * @param onRecall told the recall that was measured
 * @throws Error saying what it is and what is wanted
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
