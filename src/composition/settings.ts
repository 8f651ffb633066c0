import type { Config } from '../config.js';
import type { PositiveRule } from '../domain/event.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { CatalogueSize } from '../maintenance/doctor/memory.js';
import type { PoolSettings } from '../model/recommender-pool.js';
import { processors } from './limits.js';

export const positiveRule = (config: Pick<Config, 'positiveEvents' | 'positiveWatchPortion' | 'positiveWatchMs'>): PositiveRule => ({
  types: new Set(config.positiveEvents),
  portion: config.positiveWatchPortion,
  watchMs: config.positiveWatchMs,
});

export const hnswSettings = (config: Config): HnswSettings => ({ m: config.hnswM, efConstruction: config.hnswEfConstruction, ef: config.hnswEf });

export const poolSettings = (config: Config): PoolSettings => ({
  executionProviders: config.executionProviders,
  requireGpu: false, // the item tower is what a GPU is required for; the user tower may use it
  workers: config.recommenderWorkers === 0 ? Math.max(1, processors() - 1) : config.recommenderWorkers,
  maxBatch: config.maxBatch,
  maxQueue: config.maxQueue,
  hnsw: hnswSettings(config),
  precision: config.userTowerPrecision,
  userVectorBytes: config.userVectorMib * 2 ** 20,
});

/** Bytes of a node in hnswlib's graph beside its vector and its 2 M links: their count, the slot, and its share of the upper levels. */
const NODE_BYTES = 24;
/** Bytes of an item's fields, and of a server without items; bench/README.md measures both. */
const FIELD_BYTES = 1300;
const SERVER_BYTES = 200 * 2 ** 20;

/** What a catalogue takes in memory: one table of float32 vectors, and in each recommender the graph with a copy of them and 8-bit rows. */
export function catalogueSize(config: Config, dim: number, items: number): CatalogueSize {
  const { workers, hnsw } = poolSettings(config);
  const certain = items * (4 * dim + workers * (4 * dim + 8 * hnsw.m + NODE_BYTES));
  return { items, replicas: workers, certain, expected: SERVER_BYTES + certain + items * (workers * dim + FIELD_BYTES) };
}
