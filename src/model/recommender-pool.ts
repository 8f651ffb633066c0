import type { Provider } from '../config.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { VectorChunk } from '../index/vector-table.js';
import type { Metrics } from '../metrics.js';
import { startWorker } from '../threads/worker-client.js';
import type { Artifact } from './artifact.js';
import { GPU_LOCK } from './gpu-lock.js';
import type { Precision, RecommenderSetup, Verified } from './recommender-messages.js';
import type { SearchJob } from './search-messages.js';
import { createSearchQueue, type Searched } from './search-queue.js';

export type { Searched } from './search-queue.js';

/** Workers that each hold the user tower and a replica of the index. */
export interface RecommenderPool {
  provider: Provider;
  /** Why better providers were not taken, for the log. */
  skipped: string[];
  /** Of the user tower that answers requests without `exact`. */
  precision: Precision;
  /**
   * @param prepare called when a worker takes the job. It looks slots up as late as possible: a slot that an update frees may be
   *   reused once every worker has acknowledged that update. Null: the search is no longer wanted
   * @throws ReelfuseError 503 `overloaded` when the queue is full
   */
  search(prepare: () => SearchJob | null): Promise<Searched | null>;
  /** Resolves when every replica has applied the change. */
  update(change: { add: number[]; remove: number[] }): Promise<void>;
  grow(chunk: VectorChunk): Promise<void>;
  /** Writes one replica's HNSW graph as it is at this call, while searches and updates go on. @returns the slots that the file holds */
  save(file: string): Promise<Int32Array>;
  /** Loads a saved graph into every replica, all empty; the table must hold the vectors already. @returns the slots that have a node in it */
  load(file: string, slots: Int32Array): Promise<Int32Array>;
  /** Answers the searches that wait first. */
  close(): Promise<void>;
}

export interface PoolSettings {
  executionProviders: 'auto' | Provider[];
  requireGpu: boolean;
  workers: number;
  maxBatch: number;
  maxQueue: number;
  hnsw: HnswSettings;
  precision: 'auto' | 'float32';
  /** Memory of each worker's cache of user vectors; 0: no cache. */
  userVectorBytes: number;
}

/**
 * Starts the workers and checks the golden vectors on each.
 * @throws ArtifactError when the tower does not load or does not match
 */
export async function startRecommenders(
  artifact: Artifact,
  settings: PoolSettings,
  metrics: Metrics,
  onCrash: (error: Error) => void,
): Promise<RecommenderPool> {
  const setup: RecommenderSetup = {
    towerPath: artifact.userTowerPath,
    int8TowerPath: settings.precision === 'auto' ? artifact.int8UserTowerPath : null,
    manifest: artifact.manifest,
    golden: artifact.golden,
    providers: settings.executionProviders,
    requireGpu: settings.requireGpu,
    gpuLock: GPU_LOCK,
    hnsw: settings.hnsw,
    userVectorBytes: settings.userVectorBytes,
  };
  const workers = Array.from({ length: settings.workers }, () =>
    startWorker(new URL('./recommender-worker.js', import.meta.url).href, setup, onCrash),
  );
  const callAll = <Answer>(request: object): Promise<Answer[]> => Promise.all(workers.map((worker) => worker.call<Answer>(request)));
  const closeAll = async (): Promise<void> => void (await Promise.all(workers.map((worker) => worker.close())));
  const [verified] = await callAll<Verified>({ type: 'verify' }).catch(async (error: unknown) => {
    await closeAll();
    throw error;
  });
  const queue = createSearchQueue(workers, settings, metrics);

  return {
    provider: verified?.provider ?? 'cpu',
    skipped: verified?.skipped ?? [],
    precision: verified?.precision ?? 'float32',
    search: queue.search,
    update: async (change) => void (await callAll({ type: 'update', ...change })),
    grow: async (chunk) => void (await callAll({ type: 'grow', chunk })),
    save: async (file) => {
      const [worker] = workers;
      if (worker === undefined) throw new Error('there is no recommender');
      return worker.call<Int32Array>({ type: 'save', file });
    },
    load: async (file, slots) => {
      const [nodes] = await callAll<Int32Array>({ type: 'load', file, slots });
      return nodes ?? new Int32Array(0);
    },
    close: async () => {
      await queue.drain();
      await closeAll();
    },
  };
}
