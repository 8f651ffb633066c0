import type { Provider } from '../config.js';
import { overloaded } from '../errors.js';
import type { AllowedSlots } from '../index/filtered.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { VectorChunk } from '../index/vector-table.js';
import type { Metrics } from '../metrics.js';
import type { Artifact, Manifest } from './artifact.js';
import type { Golden } from './golden.js';
import { startWorker, type WorkerClient } from '../threads/worker-client.js';

export interface RecommenderSetup {
  towerPath: string;
  manifest: Manifest;
  golden: Golden;
  providers: 'auto' | Provider[];
  requireGpu: boolean;
  hnsw: HnswSettings;
}

/** One user's search, as a worker sees it. */
export interface SearchJob {
  /** Slots, oldest first; at least one and at most T. Empty when `near` is given. */
  history: Int32Array;
  /** Search around this item's vector instead of a user's. */
  near: number | null;
  /** Slots of disliked examples: the query moves away from them. */
  disliked: Int32Array;
  count: number;
  /** Slots that may be returned; null: all. */
  allowed: AllowedSlots | null;
  exact: boolean;
  explain: boolean;
  /** Whether the answer needs the user vector too. */
  wantsUser: boolean;
}

export interface SearchResult {
  slots: Int32Array;
  similarities: Float32Array;
  /** What was searched for, [d], normalised where the similarity is cosine; null unless the job asked for it. */
  user: Float32Array | null;
  /** For an explanation: the user vector without history item i, for each i. */
  without: Float32Array[];
}

export interface SearchAnswer {
  results: SearchResult[];
  towerMs: number;
  searchMs: number;
}

export type RecommenderRequest = { id: number } & (
  | { type: 'verify' }
  | { type: 'grow'; chunk: VectorChunk }
  | { type: 'update'; add: number[]; remove: number[] }
  | { type: 'search'; jobs: SearchJob[] }
  | { type: 'save'; file: string }
  | { type: 'load'; file: string; slots: Int32Array }
);

export interface Searched extends SearchResult {
  queueMs: number;
  towerMs: number;
  searchMs: number;
}

export interface RecommenderPool {
  provider: Provider;
  skipped: string[];
  /**
   * @param prepare called when a worker takes the job: slots are looked up as late as possible, because a slot
   *   that an update frees may be reused once every worker has acknowledged that update
   * @throws ReelfuseError 503 `overloaded` when the queue is full
   */
  search(prepare: () => SearchJob | null): Promise<Searched | null>;
  /** Resolves when every replica has applied the change. */
  update(change: { add: number[]; remove: number[] }): Promise<void>;
  grow(chunk: VectorChunk): Promise<void>;
  /** Writes one replica's HNSW graph as it is now; searches and updates go on. @returns the slots that the file holds */
  save(file: string): Promise<Int32Array>;
  /** Takes a saved graph into every empty replica; the table must hold the vectors already. @returns the slots that have a node in it */
  load(file: string, slots: Int32Array): Promise<Int32Array>;
  /** Searches that wait are answered first. */
  close(): Promise<void>;
}

export interface PoolSettings {
  executionProviders: 'auto' | Provider[];
  requireGpu: boolean;
  workers: number;
  maxBatch: number;
  maxQueue: number;
  hnsw: HnswSettings;
}

interface Waiting {
  prepare: () => SearchJob | null;
  since: number;
  resolve: (result: Searched | null) => void;
  reject: (error: unknown) => void;
}

/**
 * User tower and search in worker threads. Batching is dynamic: an idle worker takes at once whatever waits, up to
 * maxBatch; under load batches grow by themselves and nothing waits for a timer.
 */
export async function startRecommenders(
  artifact: Artifact,
  settings: PoolSettings,
  metrics: Metrics,
  onCrash: (error: Error) => void,
): Promise<RecommenderPool> {
  const setup: RecommenderSetup = {
    towerPath: artifact.userTowerPath,
    manifest: artifact.manifest,
    golden: artifact.golden,
    providers: settings.executionProviders,
    requireGpu: settings.requireGpu,
    hnsw: settings.hnsw,
  };
  const workers = Array.from({ length: settings.workers }, () =>
    startWorker(new URL('./recommender-worker.js', import.meta.url).href, setup, onCrash),
  );
  const close = async (): Promise<void> => void (await Promise.all(workers.map((worker) => worker.close())));
  const verified = await Promise.all(workers.map((worker) => worker.call<{ provider: Provider; skipped: string[] }>({ type: 'verify' }))).catch(
    async (error: unknown) => {
      await close();
      throw error;
    },
  );
  const idle = [...workers];
  let queue: Waiting[] = [];

  const run = async (worker: WorkerClient, batch: Waiting[]): Promise<void> => {
    const taken = performance.now();
    const jobs: SearchJob[] = [];
    const asked: Waiting[] = [];
    for (const waiting of batch) {
      const job = waiting.prepare();
      if (job === null) waiting.resolve(null);
      else {
        jobs.push(job);
        asked.push(waiting);
      }
    }
    if (jobs.length === 0) return;
    try {
      const { results, towerMs, searchMs } = await worker.call<SearchAnswer>({ type: 'search', jobs });
      metrics.batchSize.observe({ tower: 'user' }, jobs.length);
      results.forEach((result, position) => {
        const waiting = asked[position] as Waiting; // one result a job
        waiting.resolve({ ...result, queueMs: taken - waiting.since, towerMs, searchMs });
      });
    } catch (error) {
      for (const waiting of asked) waiting.reject(error);
    }
  };

  const pump = (): void => {
    while (queue.length > 0) {
      const worker = idle.pop();
      if (worker === undefined) break;
      // share the queue between the idle workers instead of giving the first one everything
      const size = Math.min(settings.maxBatch, Math.ceil(queue.length / (idle.length + 1)));
      const batch = queue.slice(0, size);
      queue = queue.slice(size);
      void run(worker, batch).then(() => {
        idle.push(worker);
        pump();
      });
    }
    metrics.queueDepth.set(queue.length);
  };
  /** Resolves when everything that waits now is with a worker. */
  const drain = (): Promise<void> =>
    new Promise((resolve, reject) => {
      queue.push({ prepare: () => null, since: performance.now(), resolve: () => resolve(), reject });
      pump();
    });

  return {
    provider: verified[0]?.provider ?? 'cpu',
    skipped: verified[0]?.skipped ?? [],
    search: (prepare) =>
      new Promise((resolve, reject) => {
        if (queue.length >= settings.maxQueue) {
          metrics.rejected.inc({ reason: 'queue_full' });
          reject(overloaded('recommender'));
          return;
        }
        queue.push({ prepare, since: performance.now(), resolve, reject });
        pump();
      }),
    update: async (change) => void (await Promise.all(workers.map((worker) => worker.call({ type: 'update', ...change })))),
    grow: async (chunk) => void (await Promise.all(workers.map((worker) => worker.call({ type: 'grow', chunk })))),
    save: async (file) => {
      const [worker] = workers;
      if (worker === undefined) throw new Error('there is no recommender');
      return worker.call<Int32Array>({ type: 'save', file });
    },
    load: async (file, slots) => {
      const [nodes] = await Promise.all(workers.map((worker) => worker.call<Int32Array>({ type: 'load', file, slots })));
      return nodes ?? new Int32Array(0);
    },
    close: async () => {
      await drain();
      await close();
    },
  };
}
