import type { Provider } from '../config.js';
import { overloaded } from '../errors.js';
import type { Neighbours } from '../index/ann-index.js';
import type { HnswSettings } from '../index/hnsw.js';
import type { VectorChunk } from '../index/vector-table.js';
import type { Metrics } from '../metrics.js';
import type { Artifact, Manifest } from './artifact.js';
import type { Golden } from './golden.js';
import { GPU_LOCK } from './gpu-lock.js';
import { startWorker, type WorkerClient } from '../threads/worker-client.js';
import { packJobs, type PackedJobs, type PackedResults, type AskedJob, type SearchVectors } from './search-messages.js';

export interface RecommenderSetup {
  towerPath: string;
  /** Null: only the one above is used. */
  int8TowerPath: string | null;
  manifest: Manifest;
  golden: Golden;
  providers: 'auto' | Provider[];
  requireGpu: boolean;
  gpuLock: SharedArrayBuffer;
  hnsw: HnswSettings;
  userVectorBytes: number;
}

export interface SearchAnswer {
  results: PackedResults;
  /** Histories that went through the tower, and such whose vector an earlier request had left. */
  embedded: number;
  reused: number;
  towerMs: number;
  searchMs: number;
}

export type RecommenderRequest = { id: number } & (
  | { type: 'verify' }
  | { type: 'grow'; chunk: VectorChunk }
  | { type: 'update'; add: number[]; remove: number[] }
  | { type: 'search'; jobs: PackedJobs }
  | { type: 'save'; file: string }
  | { type: 'load'; file: string; slots: Int32Array }
);

export interface Searched {
  /** Of the whole batch; this search's are `count` from `first` on. Views of its own would cost more than reading them. */
  batch: Neighbours;
  first: number;
  count: number;
  vectors: SearchVectors | null;
  /** Waiting for a worker, and the way there and back. */
  queueMs: number;
  towerMs: number;
  searchMs: number;
}

export type Precision = 'float32' | 'int8';

export interface Verified {
  provider: Provider;
  skipped: string[];
  precision: Precision;
}

export interface RecommenderPool {
  provider: Provider;
  skipped: string[];
  /** Of the user tower that answers requests without `exact`. */
  precision: Precision;
  /**
   * @param prepare called when a worker takes the job: slots are looked up as late as possible, because a slot
   *   that an update frees may be reused once every worker has acknowledged that update
   * @throws ReelfuseError 503 `overloaded` when the queue is full
   */
  search(prepare: () => AskedJob | null): Promise<Searched | null>;
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
  precision: 'auto' | 'float32';
  /** Of each worker, for vectors of histories that do not change between two requests; 0: none. */
  userVectorBytes: number;
}

interface Waiting {
  prepare: () => AskedJob | null;
  since: number;
  resolve: (result: Searched | null) => void;
  reject: (error: unknown) => void;
}

interface Place {
  worker: WorkerClient;
  /** On their way to it and back. */
  batches: number;
  /** Requests in the one that it was sent last. */
  latest: number;
}

/** Batches that a worker has at most: with one alone it would run dry in every long turn of this thread. */
const AHEAD = 4;
/** So many requests are worth a message to a worker that is busy, or as many as it was sent last: with few callers there are never more. */
const WORTH_SENDING = 8;
/** So many are worth one to an idle worker before the turn has read the rest: it computes while this thread reads on. */
const WORTH_STARTING = 4;

/**
 * User tower and search in worker threads. Batching is dynamic: an idle worker takes the first few requests, or whatever
 * one turn of the event loop has brought, and a busy one gets its next batch when that is worth a message; under load
 * batches grow by themselves and nothing waits for a timer. maxBatch is small on purpose: were all open requests one
 * batch, this thread and the worker would wait for each other in turn.
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
  const close = async (): Promise<void> => void (await Promise.all(workers.map((worker) => worker.close())));
  const verified = await Promise.all(workers.map((worker) => worker.call<Verified>({ type: 'verify' }))).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const places = workers.map((worker): Place => ({ worker, batches: 0, latest: 0 }));
  const queue: Waiting[] = [];
  let isDue = false;
  const worthSending = Math.min(WORTH_SENDING, settings.maxBatch);
  const worthStarting = Math.min(WORTH_STARTING, settings.maxBatch);

  const run = async (place: Place, batch: Waiting[]): Promise<void> => {
    const jobs: AskedJob[] = [];
    const asked: Waiting[] = [];
    for (const waiting of batch) {
      const job = waiting.prepare();
      if (job === null) waiting.resolve(null);
      else {
        jobs.push(job);
        asked.push(waiting);
      }
    }
    if (jobs.length === 0) {
      pumpSoon();
      return;
    }
    place.batches++;
    place.latest = jobs.length;
    let answer: SearchAnswer;
    try {
      answer = await place.worker.call<SearchAnswer>({ type: 'search', jobs: packJobs(jobs) });
    } catch (error) {
      place.batches--;
      pumpSoon();
      for (const waiting of asked) waiting.reject(error);
      return;
    }
    const answered = performance.now();
    place.batches--;
    pump(); // before the answers are written, which keeps this thread busy for as long as a batch keeps a worker
    metrics.batchSize.observe({ tower: 'user' }, jobs.length);
    const { results, embedded, reused, towerMs, searchMs } = answer;
    if (embedded > 0) metrics.userVectors.inc({ source: 'tower' }, embedded);
    if (reused > 0) metrics.userVectors.inc({ source: 'memory' }, reused);
    const { lengths, vectors } = results;
    let first = 0;
    for (let position = 0; position < lengths.length; position++) {
      const waiting = asked[position] as Waiting; // one result a job
      const count = lengths[position] as number; // position < length
      const queueMs = answered - waiting.since - towerMs - searchMs;
      waiting.resolve({ batch: results, first, count, vectors: vectors?.[position] ?? null, queueMs, towerMs, searchMs });
      first += count;
    }
  };

  const give = (place: Place, size: number): void => void run(place, queue.splice(0, size));
  const pump = (): void => {
    isDue = false;
    const idle = places.filter(({ batches }) => batches === 0);
    // share the queue between the idle workers instead of giving the first one everything
    idle.forEach((place, position) => {
      const size = Math.min(settings.maxBatch, Math.ceil(queue.length / (idle.length - position)));
      if (size > 0) give(place, size);
    });
    while (queue.length >= worthStarting) {
      const next = places.reduce((least, place) => (place.batches < least.batches ? place : least));
      if (next.batches === AHEAD || queue.length < Math.min(worthSending, next.latest)) break;
      give(next, settings.maxBatch);
    }
    metrics.queueDepth.set(queue.length);
  };
  /** Resolves when everything that waits now is with a worker. */
  const drain = (): Promise<void> =>
    new Promise((resolve, reject) => {
      queue.push({ prepare: () => null, since: performance.now(), resolve: () => resolve(), reject });
      pump();
    });
  /** After all that this turn of the event loop has read: requests that came together go together. */
  const pumpSoon = (): void => {
    if (isDue) return;
    isDue = true;
    setImmediate(pump);
  };

  return {
    provider: verified[0]?.provider ?? 'cpu',
    skipped: verified[0]?.skipped ?? [],
    precision: verified[0]?.precision ?? 'float32',
    search: (prepare) =>
      new Promise((resolve, reject) => {
        if (queue.length >= settings.maxQueue) {
          metrics.rejected.inc({ reason: 'queue_full' });
          reject(overloaded('recommender'));
          return;
        }
        queue.push({ prepare, since: performance.now(), resolve, reject });
        const canStart = queue.length >= worthStarting && places.some(({ batches }) => batches === 0);
        if (canStart || queue.length % settings.maxBatch === 0) pump();
        else pumpSoon();
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
