import { positiveRule } from '../ingest/event-input.js';
import { randomBytes, randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { createGeneration, type Generation } from '../generations/generation.js';
import { openGenerations, type Generations } from '../generations/generations.js';
import { importDemo } from '../ingest/demo.js';
import { createHistories, type Histories } from '../signals/histories.js';
import { createItemRows, type ItemRows } from '../domain/item-interner.js';
import { createErasure, type Erasure } from '../ingest/erasure.js';
import { createIngest, type Ingest } from '../ingest/items.js';
import { chooseModel } from '../generations/model-choice.js';
import { createPopularity, type Popularity } from '../signals/popularity.js';
import { systemClock, type Clock } from '../retrieval/embedded/schedule.js';
import { openSnapshots, type Restored, type Snapshots } from '../maintenance/snapshots.js';
import { createUpkeep } from '../generations/upkeep.js';
import type { Config } from '../config.js';
import { messageOf } from '../errors.js';
import type { HnswSettings } from '../index/hnsw.js';
import { createMetrics, type Metrics } from '../metrics.js';
import { readArtifact, type Artifact } from '../model/artifact.js';
import { startFuser } from '../model/fuser.js';
import { startRecommenders } from '../model/recommender-pool.js';
import { lockDataDir } from '../store/data-lock.js';
import { openSqliteStore } from '../store/sqlite/sqlite-store.js';
import { createCursors, type Cursors } from '../recommend/cursors.js';
import { openServedLog, type ServedEntry, type ServedLog } from '../store/files/served-log.js';
import type { ModelRecord, Store } from '../store/store.js';
import { openTracing, type Tracing } from '../tracing.js';

export interface Services {
  config: Config;
  log: Logger;
  metrics: Metrics;
  /** Null: no request is traced. */
  tracing: Tracing | null;
  store: Store;
  generations: Generations;
  /** The one that serves now; read it once a request. */
  readonly generation: Generation;
  ingest: Ingest;
  popularity: Popularity;
  histories: Histories;
  erasure: Erasure;
  cursors: Cursors;
  /** Null: nothing is kept of what was served. */
  served: ServedLog | null;
  /** Keeps an answer. @returns its id */
  serve: (entry: ServedEntry) => string;
  snapshots: Snapshots;
  isReady: () => boolean;
  /** Fills vectors and index from a snapshot or else from the store; until it is done, requests are answered by the fallback. The signal ends it early. */
  load: (signal?: AbortSignal) => Promise<Restored | null>;
  close: () => Promise<void>;
}

/** Opens the store alone, for commands that need no model. */
export function openStore(config: Config, metrics: Metrics, log: Logger): { store: Store; close: () => Promise<void> } {
  const unlock = lockDataDir(config.dataDir);
  try {
    const store = openSqliteStore(config.dataDir, metrics, crash(log), config.maxEventQueue);
    return {
      store,
      close: async () => {
        await store.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** A dead engine thread cannot be papered over: end, so that the supervisor starts a clean process. Acknowledged writes are on the disk. */
const crash = (log: Logger) => (error: Error) => {
  log.fatal({ err: error }, 'an engine thread has died');
  process.exitCode = 70;
  process.kill(process.pid, 'SIGTERM');
};

/**
 * Opens everything in order and undoes it when a later step fails.
 * @throws ArtifactError, InputError when the model or the database must not be used
 */
export async function openServices(config: Config, log: Logger, clock: Clock = systemClock): Promise<Services> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    while (closers.length > 0) await closers.pop()?.();
  };
  try {
    const metrics = createMetrics();
    const tracing = config.otlpEndpoint === '' ? null : await openTracing(config, log);
    if (tracing !== null) closers.push(tracing.close);
    const opened = openStore(config, metrics, log);
    closers.push(opened.close);
    const { store } = opened;
    const model = chooseModel(config.modelDir, store);
    const artifact = await readArtifact(model.folder);
    if (isReplaced(artifact, store.models()))
      log.warn(
        { folder: artifact.folder, fingerprint: artifact.fingerprint },
        'the folder holds another model than before: it serves without the checks of a swap',
      );
    const rows = createItemRows();
    const generations = await openGenerations(artifact, {
      store,
      metrics,
      log,
      minRecall: config.swapMinRecall,
      minCoverage: config.swapMinCoverage,
      open: (wanted, onCrash) => openGeneration(wanted, rows, config, metrics, log, clock, onCrash),
      onCrash: crash(log),
      settleWrites: () => ingest.settle(),
    });
    closers.push(() => generations.close());
    const ingest: Ingest = createIngest({ store, generations, maxQueue: config.maxItemQueue, metrics, log });
    closers.push(() => ingest.settle());

    const { manifest } = artifact;
    if (model.isFreshDemo) {
      await importDemo(store, { layers: manifest.layers.count, width: manifest.hidden_dim }, positiveRule(config));
      log.info({ items: store.countItems() }, 'imported the bundled demo: a synthetic catalogue');
    }
    await model.remember();
    const halfLifeMs = config.popularityHalfLifeHours * 3_600_000;
    const origin = Date.now();
    const popularity = createPopularity({
      origin,
      halfLifeMs,
      // the catalogue may still be loading
      isKnown: (itemId) => generations.current.catalogue.get(itemId) !== undefined || store.item(itemId) !== null,
      initial: { positives: store.popularity(origin, halfLifeMs), impressions: store.impressionCounts() },
    });
    const erasure = createErasure(store, popularity);
    const snapshots = openSnapshots({
      folder: join(config.dataDir, 'snapshots'),
      store,
      current: () => generations.current,
      settleWrites: () => ingest.settle(),
      hnsw: hnswSettings(config),
      minutes: config.snapshotMinutes,
      kept: config.snapshotsKept,
      metrics,
      log,
    });
    let ready = false;
    closers.push(async () => {
      await snapshots.close();
      await ingest.settle();
      if (ready) await snapshots.writeIfStale();
    });
    closers.push(repeat(createUpkeep(generations, store, metrics, log), config.recallCheckSeconds * 1000));
    closers.push(keepRetention(erasure, config.eventRetentionDays, log));
    const served = config.servedDays === 0 ? null : openServed(config, metrics, log);
    if (served !== null) closers.push(served.close);
    const services: Services = {
      config,
      log,
      metrics,
      tracing,
      store,
      generations,
      get generation() {
        return generations.current;
      },
      popularity,
      histories: createHistories(store, rows, config.historyCacheItems),
      ingest,
      erasure,
      cursors: createCursors(await cursorSecret(config, store), config.cursorMinutes),
      served,
      serve: (entry) => served?.append(entry) ?? `rec_${randomUUID().replaceAll('-', '')}`,
      snapshots,
      isReady: () => ready,
      load: async (signal) => {
        const started = performance.now();
        const restored = await snapshots.restore(generations.current);
        const { fused } = restored === null ? await generations.load((items) => log.debug({ items }, 'loading'), signal) : { fused: 0 };
        ready = true;
        log.info(
          { items: generations.current.catalogue.size, fused, ...restored, seconds: (performance.now() - started) / 1000 },
          'catalogue loaded',
        );
        // built from scratch: the next start should not have to
        if (restored === null && generations.current.catalogue.size > 0) void snapshots.writeIfStale();
        return restored;
      },
      close,
    };
    return services;
  } catch (error) {
    await close().catch((problem: unknown) => log.error({ reason: messageOf(problem) }, 'closing failed'));
    throw error;
  }
}

/** Whether the folder was known, but never with these files. */
const isReplaced = ({ folder, fingerprint }: Artifact, known: readonly ModelRecord[]): boolean =>
  known.some((model) => model.folder === folder) && known.every((model) => model.fingerprint !== fingerprint);

async function openGeneration(
  artifact: Artifact,
  rows: ItemRows,
  config: Config,
  metrics: Metrics,
  log: Logger,
  clock: Clock,
  onCrash: (error: Error) => void,
): Promise<Generation> {
  const fuser = await startFuser(artifact, config, metrics, onCrash);
  try {
    const pool = await startRecommenders(artifact, poolSettings(config), metrics, onCrash);
    const { fingerprint, manifest } = artifact;
    log.info(
      {
        fingerprint,
        version: manifest.version,
        item_tower: fuser.provider,
        user_tower: pool.provider,
        user_tower_precision: pool.precision,
        passed_over: fuser.skipped,
      },
      'model verified: digests and golden vectors hold',
    );
    return createGeneration(artifact, fuser, pool, rows, clock);
  } catch (error) {
    await fuser.close();
    throw error;
  }
}

function openServed(config: Config, metrics: Metrics, log: Logger): ServedLog {
  const onError = (what: string) => (error: unknown) => {
    metrics.servedLogErrors.inc();
    log.error({ err: error }, what);
  };
  const served = openServedLog(join(config.dataDir, 'served'), onError('answers could not be kept'));
  const expire = async (): Promise<void> => {
    try {
      served.expire(Date.now() - config.servedDays * 24 * 3_600_000);
    } catch (error) {
      onError('old answers could not be removed')(error);
    }
  };
  void expire();
  const stop = repeat(expire, RETENTION_CHECK_MS);
  return {
    ...served,
    close: async () => {
      await stop();
      await served.close();
    },
  };
}

const CURSOR_SECRET_KEY = 'cursor_secret';

async function cursorSecret({ cursorSecret: given }: Config, store: Store): Promise<string> {
  const known = given === '' ? store.meta(CURSOR_SECRET_KEY) : given;
  if (known !== null) return known;
  const made = randomBytes(32).toString('hex');
  await store.setMeta(CURSOR_SECRET_KEY, made);
  return made;
}

/** Runs the task every so often, never twice at once. @returns a function that stops it and waits for its end */
function repeat(task: () => Promise<void>, milliseconds: number): () => Promise<void> {
  if (milliseconds === 0) return async () => {};
  let running = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(task);
  }, milliseconds);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

const RETENTION_CHECK_MS = 3600_000;

/** Expires events now and every hour. @returns a function that stops it */
function keepRetention(erasure: Erasure, days: number, log: Logger): () => Promise<void> {
  if (days === 0) return async () => {};
  const expire = async (): Promise<void> => {
    try {
      const events = await erasure.expireEvents(days, Date.now());
      if (events > 0) log.info({ events, days }, 'expired old events');
    } catch (error) {
      log.error({ err: error }, 'old events could not be expired');
    }
  };
  const first = expire();
  const stop = repeat(expire, RETENTION_CHECK_MS);
  return async () => {
    await stop();
    await first;
  };
}

const poolSettings = (config: Config) => ({
  executionProviders: config.executionProviders,
  requireGpu: false, // the item tower is what a GPU is required for; the user tower may use it
  workers: config.recommenderWorkers === 0 ? Math.max(1, availableParallelism() - 1) : config.recommenderWorkers,
  maxBatch: config.maxBatch,
  maxQueue: config.maxQueue,
  hnsw: hnswSettings(config),
  precision: config.userTowerPrecision,
  userVectorBytes: config.userVectorMib * 2 ** 20,
});

const hnswSettings = (config: Config): HnswSettings => ({ m: config.hnswM, efConstruction: config.hnswEfConstruction, ef: config.hnswEf });
