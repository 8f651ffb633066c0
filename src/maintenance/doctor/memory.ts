import { failed, ok, warning, type Check } from './check.js';

export const MEMORY = 'memory';

/** What a catalogue takes in memory, bytes. */
export interface CatalogueSize {
  items: number;
  /** Replicas of the graph: one a recommender. */
  replicas: number;
  /** Vectors and graphs, which are never smaller. */
  certain: number;
  /** With the items' fields and the server itself, as measured. */
  expected: number;
}

/** Compares the memory that the catalogue takes with the memory that this process may use. */
export function checkMemory({ items, replicas, certain, expected }: CatalogueSize, limit: number): Check {
  const share = `${items} items with ${replicas} ${replicas === 1 ? 'replica' : 'replicas'} of the graph`;
  const advice = 'raise the limit, or set REELFUSE_RECOMMENDER_WORKERS to fewer';
  if (certain > limit) return failed(MEMORY, `${share} take more than ${size(certain)}, this process may use ${size(limit)}`, advice);
  const detail = `${share} take about ${size(expected)}, this process may use ${size(limit)}`;
  return expected > limit ? warning(MEMORY, detail, advice) : ok(MEMORY, detail);
}

const MIB = 2 ** 20;
const size = (bytes: number): string => (bytes >= 1024 * MIB ? `${(bytes / 1024 / MIB).toFixed(1)} GiB` : `${Math.ceil(bytes / MIB)} MiB`);
