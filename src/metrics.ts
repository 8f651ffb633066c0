import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { STORAGE_FAULTS } from './storage-faults.js';
import { createTimingHistogram } from './timing-histogram.js';

/** 100 µs to 10 s. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/** Families of prom-client that the Prometheus linter rejects: gauges whose names end in _total. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

export type Metrics = ReturnType<typeof createMetrics>;

interface CountedBy<Label extends string, Value extends string> {
  inc(labels: Record<Label, Value>, by?: number): void;
}

/** A counter that shows every value of its label from the start: `increase()` does not see the step from absent to 1. */
function countedBy<Label extends string, Value extends string>(
  registry: Registry,
  name: string,
  help: string,
  label: Label,
  values: readonly Value[],
): CountedBy<Label, Value> {
  const counter = new Counter({ name, help, labelNames: [label], registers: [registry] });
  for (const value of values) counter.inc({ [label]: value } as Record<Label, Value>, 0);
  return counter;
}

/** A gauge without a sample until it is set: 0 would stand for something that nobody has measured. */
function unknownUntilSet(registry: Registry, name: string, help: string): Gauge {
  const gauge = new Gauge({ name, help, registers: [registry] });
  gauge.remove();
  return gauge;
}

/** Every Prometheus instrument of the server. No label ever holds a user or an item. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'reelfuse_' });
  for (const name of MISNAMED) registry.removeSingleMetric(`reelfuse_${name}`);
  return {
    registry,
    requestSeconds: createTimingHistogram(registry, {
      name: 'reelfuse_http_request_duration_seconds',
      help: 'Time from the request line to the last byte, by route and status class',
      labelNames: ['route', 'method', 'status_class'],
      buckets: SECONDS,
    }),
    stageSeconds: createTimingHistogram(registry, {
      name: 'reelfuse_stage_duration_seconds',
      help: 'Time of one stage of a recommendation',
      labelNames: ['stage'],
      buckets: SECONDS,
    }),
    leaseHeld: unknownUntilSet(registry, 'reelfuse_replica_lease_held', '1 while this server may serve, over PostgreSQL, else 0'),
    feedHeldSeconds: unknownUntilSet(
      registry,
      'reelfuse_change_feed_held_seconds',
      'Time for which an open transaction of PostgreSQL has held the change feed up',
    ),
    batchSize: new Histogram({
      name: 'reelfuse_batch_size',
      help: 'Requests or items that went to a tower together',
      labelNames: ['tower'] as const,
      buckets: SIZES,
      registers,
    }),
    userVectors: countedBy(
      registry,
      'reelfuse_user_vectors_total',
      'User vectors, by whether the tower made them or an earlier request had',
      'source',
      ['tower', 'memory'],
    ),
    queueDepth: new Gauge({ name: 'reelfuse_queue_depth', help: 'Requests waiting for a recommender', registers }),
    rejected: countedBy(registry, 'reelfuse_rejected_total', 'Requests refused because a queue is full or would be waited in too long', 'reason', [
      'overload',
      'queue_full',
      'item_queue_full',
      'event_queue_full',
      'rate',
      'failed_keys',
      'connections',
    ]),
    fallbacks: countedBy(registry, 'reelfuse_fallback_total', 'Recommendations answered by the fallback ranking', 'reason', [
      'no_history',
      'unknown_history',
      'starting',
      'deadline',
    ]),
    explored: new Counter({ name: 'reelfuse_explored_items_total', help: 'New items that were given a place by exploration', registers }),
    servedLogErrors: new Counter({ name: 'reelfuse_served_log_errors_total', help: 'Answers that could not be kept for replay', registers }),
    searchableSeconds: new Histogram({
      name: 'reelfuse_ingest_to_searchable_seconds',
      help: 'Time from a received item to its presence in every index replica',
      buckets: SECONDS,
      registers,
    }),
    items: new Gauge({ name: 'reelfuse_items', help: 'Items by state', labelNames: ['state'] as const, registers }),
    itemsUnavailable: new Gauge({
      name: 'reelfuse_items_unavailable',
      help: 'Items of any state but hidden that are not served now, because they are scheduled for later or have expired',
      labelNames: ['reason'] as const,
      registers,
    }),
    ready: new Gauge({ name: 'reelfuse_ready', help: '1 when the catalogue is loaded, 0 while it is being loaded', registers }),
    build: new Gauge({ name: 'reelfuse_build_info', help: 'The version of the server', labelNames: ['version'] as const, registers }),
    dataAvailable: new Gauge({ name: 'reelfuse_data_available_bytes', help: 'Free space of the disk that holds the data folder', registers }),
    dataSize: new Gauge({ name: 'reelfuse_data_size_bytes', help: 'Size of the disk that holds the data folder', registers }),
    generation: new Gauge({
      name: 'reelfuse_generation_info',
      help: 'The generation that answers requests',
      labelNames: ['fingerprint', 'version', 'provider'] as const,
      registers,
    }),
    swapProgress: new Gauge({
      name: 'reelfuse_swap_progress_ratio',
      help: 'Share of the items that the running swap has gone through; 0 when none runs',
      registers,
    }),
    swaps: countedBy(registry, 'reelfuse_swaps_total', 'Changes of the serving generation, by how they ended', 'outcome', [
      'active',
      'failed',
      'cancelled',
    ]),
    recall: unknownUntilSet(registry, 'reelfuse_index_recall_ratio', 'Recall@20 of HNSW against exact search, of the last self-check'),
    snapshots: countedBy(registry, 'reelfuse_snapshots_total', 'Snapshots of the index: written, failed, or damaged and set aside', 'outcome', [
      'written',
      'failed',
      'damaged',
    ]),
    snapshotAge: unknownUntilSet(registry, 'reelfuse_snapshot_age_seconds', 'Age of the newest snapshot of the index'),
    rebuilds: countedBy(registry, 'reelfuse_index_rebuilds_total', 'Index rebuilds in the background, by what made them necessary', 'reason', [
      'dead_nodes',
      'recall',
    ]),
    normRatio: new Histogram({
      name: 'reelfuse_hidden_state_norm_ratio',
      help: 'Norm of hidden states against that of the model’s own items, mean over layers; drift shows as a move away from 1',
      buckets: [0.01, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 10, 100],
      registers,
    }),
    idShare: new Histogram({
      name: 'reelfuse_gate_id_share',
      help: 'Share of ID embeddings, own and borrowed, in fused item vectors (mean of the gate)',
      buckets: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
      registers,
    }),
    storageFaults: countedBy(
      registry,
      'reelfuse_storage_faults_total',
      'Reads and writes that failed by the storage: no room, a disk that fails, damaged content',
      'fault',
      STORAGE_FAULTS,
    ),
    storageDegraded: new Gauge({
      name: 'reelfuse_storage_degraded',
      help: '1 from the first fault of a kind until it is known to be over',
      labelNames: ['fault'] as const,
      registers,
    }),
    damagedRows: new Gauge({ name: 'reelfuse_storage_damaged_rows', help: 'Stored rows that are known to be damaged', registers }),
    checkedRows: new Counter({ name: 'reelfuse_store_check_rows_total', help: 'Stored rows that the check of the store has read', registers }),
    checkFinished: unknownUntilSet(registry, 'reelfuse_store_check_finished_timestamp_seconds', 'When the last check of the whole store ended'),
    erasuresPending: new Gauge({
      name: 'reelfuse_erasures_pending',
      help: 'Erasures that no read finds any more, but that the log of the store still holds',
      registers,
    }),
    commitSeconds: new Histogram({ name: 'reelfuse_store_commit_seconds', help: 'Time of one group commit', buckets: SECONDS, registers }),
    commitSize: new Histogram({ name: 'reelfuse_store_commit_writes', help: 'Writes in one group commit', buckets: SIZES, registers }),
  };
}
