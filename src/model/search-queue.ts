import { overloaded } from '../errors.js';
import type { Neighbours } from '../index/ann-index.js';
import type { Metrics } from '../metrics.js';
import type { WorkerClient } from '../threads/worker-client.js';
import type { SearchAnswer } from './recommender-messages.js';
import { packJobs, type SearchJob, type SearchVectors } from './search-messages.js';

export interface Searched {
  /** Results of the whole batch. Those of this search are `count` from `first` on: making views of them would cost more than reading them. */
  batch: Neighbours;
  first: number;
  count: number;
  vectors: SearchVectors | null;
  /** Waiting for a worker, and the way there and back. */
  queueMs: number;
  towerMs: number;
  searchMs: number;
}

/** Searches that wait for a worker, and their way there in batches. */
export interface SearchQueue {
  /**
   * @param prepare called when a worker takes the job; null: the search is no longer wanted
   * @throws ReelfuseError 503 `overloaded` when the queue is full
   */
  search(prepare: () => SearchJob | null): Promise<Searched | null>;
  /** Resolves when a worker has every search that waits now. */
  drain(): Promise<void>;
}

export interface SearchQueueSettings {
  maxBatch: number;
  /** Searches that may wait. */
  maxQueue: number;
}

interface Waiting {
  prepare: () => SearchJob | null;
  since: number;
  resolve: (result: Searched | null) => void;
  reject: (error: unknown) => void;
}

interface WorkerSlot {
  worker: WorkerClient;
  batchesInFlight: number;
  /** Searches in the latest batch. */
  latestSize: number;
}

/** Most batches that a worker has at a time. With one alone it would run dry in every long turn of this thread. */
const MAX_IN_FLIGHT = 4;
/** A busy worker gets its next batch when this many searches wait, or as many as in its latest batch: with few callers there are never more. */
const MIN_NEXT_BATCH = 8;
/** An idle worker gets this many searches before the turn has read the rest: it computes while this thread reads on. */
const MIN_FIRST_BATCH = 4;

/**
 * Dynamic batching without a timer. An idle worker takes the first few searches, or whatever one turn of the event loop has brought. A
 * busy one gets its next batch when the batch is worth a message. Under load batches grow by themselves. `maxBatch` is small on
 * purpose: if all open requests were one batch, this thread and the worker would wait for each other in turn.
 */
export function createSearchQueue(workers: readonly WorkerClient[], { maxBatch, maxQueue }: SearchQueueSettings, metrics: Metrics): SearchQueue {
  const slots = workers.map((worker): WorkerSlot => ({ worker, batchesInFlight: 0, latestSize: 0 }));
  const queue: Waiting[] = [];
  let isPumpDue = false;
  const minNextBatch = Math.min(MIN_NEXT_BATCH, maxBatch);
  const minFirstBatch = Math.min(MIN_FIRST_BATCH, maxBatch);

  const send = async (slot: WorkerSlot, batch: readonly Waiting[]): Promise<void> => {
    const { jobs, asked } = prepared(batch);
    if (jobs.length === 0) {
      pumpSoon();
      return;
    }
    slot.batchesInFlight++;
    slot.latestSize = jobs.length;
    let answer: SearchAnswer;
    try {
      answer = await slot.worker.call<SearchAnswer>({ type: 'search', jobs: packJobs(jobs) });
    } catch (error) {
      slot.batchesInFlight--;
      pumpSoon();
      for (const { reject } of asked) reject(error);
      return;
    }
    const answeredAt = performance.now();
    slot.batchesInFlight--;
    pump(); // first, because writing the answers keeps this thread busy for as long as a batch keeps a worker
    countBatch(metrics, jobs.length, answer);
    deliver(asked, answer, answeredAt);
  };
  const sendNext = (slot: WorkerSlot, size: number): void => void send(slot, queue.splice(0, size));
  const pump = (): void => {
    isPumpDue = false;
    const idle = slots.filter(({ batchesInFlight }) => batchesInFlight === 0);
    // the idle workers share the queue: the first one would take everything
    idle.forEach((slot, position) => {
      const size = Math.min(maxBatch, Math.ceil(queue.length / (idle.length - position)));
      if (size > 0) sendNext(slot, size);
    });
    while (queue.length >= minFirstBatch) {
      const next = slots.reduce((least, slot) => (slot.batchesInFlight < least.batchesInFlight ? slot : least));
      if (next.batchesInFlight === MAX_IN_FLIGHT || queue.length < Math.min(minNextBatch, next.latestSize)) break;
      sendNext(next, maxBatch);
    }
    metrics.queueDepth.set(queue.length);
  };
  /** After all that this turn of the event loop has read: requests that came together go together. */
  const pumpSoon = (): void => {
    if (isPumpDue) return;
    isPumpDue = true;
    setImmediate(pump);
  };

  return {
    search: (prepare) =>
      new Promise((resolve, reject) => {
        if (queue.length >= maxQueue) {
          metrics.rejected.inc({ reason: 'queue_full' });
          reject(overloaded('recommender'));
          return;
        }
        queue.push({ prepare, since: performance.now(), resolve, reject });
        const canStart = queue.length >= minFirstBatch && slots.some(({ batchesInFlight }) => batchesInFlight === 0);
        if (canStart || queue.length % maxBatch === 0) pump();
        else pumpSoon();
      }),
    drain: () =>
      new Promise((resolve, reject) => {
        queue.push({ prepare: () => null, since: performance.now(), resolve: () => resolve(), reject });
        pump();
      }),
  };
}

/** The jobs of a batch and who asked for each; searches that are no longer wanted are answered with null. */
function prepared(batch: readonly Waiting[]): { jobs: SearchJob[]; asked: Waiting[] } {
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
  return { jobs, asked };
}

function countBatch(metrics: Metrics, size: number, { embedded, reused }: SearchAnswer): void {
  metrics.batchSize.observe({ tower: 'user' }, size);
  if (embedded > 0) metrics.userVectors.inc({ source: 'tower' }, embedded);
  if (reused > 0) metrics.userVectors.inc({ source: 'memory' }, reused);
}

function deliver(asked: readonly Waiting[], { results, towerMs, searchMs }: SearchAnswer, answeredAt: number): void {
  const { lengths, vectors } = results;
  let first = 0;
  for (let position = 0; position < lengths.length; position++) {
    const waiting = asked[position] as Waiting; // one result a job
    const count = lengths[position] as number; // position < length
    const queueMs = answeredAt - waiting.since - towerMs - searchMs;
    waiting.resolve({ batch: results, first, count, vectors: vectors?.[position] ?? null, queueMs, towerMs, searchMs });
    first += count;
  }
}
