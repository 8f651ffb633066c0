import { availableParallelism } from 'node:os';
import type { Config } from '../config.js';
import type { PositiveRule } from '../domain/event.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { PoolSettings } from '../model/recommender-pool.js';

export const positiveRule = (config: Pick<Config, 'positiveEvents' | 'positiveWatchPortion' | 'positiveWatchMs'>): PositiveRule => ({
  types: new Set(config.positiveEvents),
  portion: config.positiveWatchPortion,
  watchMs: config.positiveWatchMs,
});

export const hnswSettings = (config: Config): HnswSettings => ({ m: config.hnswM, efConstruction: config.hnswEfConstruction, ef: config.hnswEf });

export const poolSettings = (config: Config): PoolSettings => ({
  executionProviders: config.executionProviders,
  requireGpu: false, // the item tower is what a GPU is required for; the user tower may use it
  workers: config.recommenderWorkers === 0 ? Math.max(1, availableParallelism() - 1) : config.recommenderWorkers,
  maxBatch: config.maxBatch,
  maxQueue: config.maxQueue,
  hnsw: hnswSettings(config),
  precision: config.userTowerPrecision,
  userVectorBytes: config.userVectorMib * 2 ** 20,
});
