import type { Provider } from '../config.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { VectorChunk } from '../index/vector-table.js';
import type { Manifest } from './manifest.js';
import type { Golden } from './golden.js';
import type { PackedJobs, PackedResults } from './search-messages.js';

/** What a recommender worker is started with. */
export interface RecommenderSetup {
  towerPath: string;
  /** Null: the float32 tower answers everything. */
  int8TowerPath: string | null;
  manifest: Manifest;
  golden: Golden;
  providers: 'auto' | Provider[];
  requireGpu: boolean;
  gpuLock: SharedArrayBuffer;
  hnsw: HnswSettings;
  userVectorBytes: number;
}

export type RecommenderRequest = { id: number } & (
  | { type: 'verify' }
  | { type: 'grow'; chunk: VectorChunk }
  | { type: 'update'; add: number[]; remove: number[] }
  | { type: 'search'; jobs: PackedJobs }
  | { type: 'save'; file: string }
  | { type: 'load'; file: string; slots: Int32Array }
);

/** Answer to `verify`. */
export interface Verified {
  provider: Provider;
  skipped: string[];
  precision: Precision;
}

export type Precision = 'float32' | 'int8';

/** Answer to `search`. */
export interface SearchAnswer {
  results: PackedResults;
  /** Histories that went through the user tower. */
  embedded: number;
  /** Histories whose user vector was cached. */
  reused: number;
  towerMs: number;
  searchMs: number;
}
