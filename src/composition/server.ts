import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Routes } from '../app.js';
import { steadyTime, systemClock, type Clock } from '../clock.js';
import type { Config } from '../config.js';
import { createAttributeRegistry, type AttributeRegistry } from '../domain/attribute-registry.js';
import { createItemInterner, type ItemInterner } from '../domain/item-interner.js';
import { messageOf, staleServer } from '../errors.js';
import { describeItems, type Generation } from '../generations/generation.js';
import { openGenerations, type Generations } from '../generations/generations.js';
import { chooseModel, demoFile } from '../generations/model-choice.js';
import { createModelFollower } from '../generations/model-following.js';
import { createUpkeep } from '../generations/upkeep.js';
import { createIdempotency } from '../http/idempotency.js';
import { importDemo } from '../ingest/demo.js';
import { createErasure, type Erasure } from '../ingest/erasure.js';
import { ingestEvents } from '../ingest/events.js';
import { expectedBy } from '../ingest/item-input.js';
import { listItems, readItem } from '../ingest/item-reading.js';
import { createIngest, type Ingest } from '../ingest/items.js';
import { readHistory } from '../ingest/user-history.js';
import { checkMemory } from '../maintenance/doctor/memory.js';
import { ADVICE, advised } from '../maintenance/doctor/advice.js';
import { refuseFailed } from '../maintenance/doctor/refusal.js';
import { createRetentionTime } from '../maintenance/retention-time.js';
import { openSnapshots, type Snapshots } from '../maintenance/snapshots/snapshots.js';
import { createMetrics, type Metrics } from '../metrics.js';
import { readArtifact, type Artifact } from '../model/artifact.js';
import { PACKAGE_VERSION } from '../package-root.js';
import { createCursors } from '../recommend/cursors.js';
import { createRecommender, type Recommend, type ServingGeneration } from '../recommend/recommender.js';
import { createItemMaps } from '../reports/item-map.js';
import { measureQuality } from '../reports/quality.js';
import { createHistories } from '../signals/histories.js';
import { createPopularity, type Popularity } from '../signals/popularity.js';
import type { CountChange } from '../store/events.js';
import type { ModelRecord } from '../store/models.js';
import type { ReplicaStore } from '../store/replicas.js';
import type { ServedLog } from '../store/served-log.js';
import { createStorageHealth, type StorageHealth } from '../store/storage-health.js';
import type { Stores } from '../store/stores.js';
import { openTracing, type Tracing } from '../tracing.js';
import { createTurnstile } from '../turnstile.js';
import { keepRetention, repeat } from './background.js';
import { openGeneration, servingOf, snapshotSubject, type EmbeddedGeneration } from './embedded-generation.js';
import { openClusterStorage } from './cluster.js';
import { explained, openEmbeddedStorage } from './embedded.js';
import { endProcess } from './end-process.js';
import { memoryLimit } from './limits.js';
import { catalogueSize, positiveRule } from './settings.js';
import { visibleChanges } from './visible-changes.js';

const CURSOR_SECRET_KEY = 'cursor_secret';
/** Time between two looks at whether another server has activated a model. */
const FOLLOW_MODEL_MS = 1000;

/** How the catalogue was loaded into memory. */
export interface LoadedCatalogue {
  /** Name of the snapshot; null: all items were read from the store. */
  snapshot: string | null;
  /** Number of items taken from the snapshot unchanged. */
  restored: number;
  /** Number of items read from the store because they have changed since. */
  replayed: number;
}

/** A server: vectors and index in memory, what must not be lost in its storage. */
export interface Server {
  config: Config;
  log: Logger;
  metrics: Metrics;
  health: StorageHealth;
  tracing: Tracing | null;
  routes: Routes;
  stores: Stores;
  generations: Generations;
  /** The generation that serves now, with its state in memory. */
  readonly generation: EmbeddedGeneration;
  ingest: Ingest;
  popularity: Popularity;
  erasure: Erasure;
  snapshots: Snapshots;
  isReady: () => boolean;
  /** Looks whether faults of the storage are over, as a timer does every few seconds. */
  heal: () => Promise<void>;
  /** Fills vectors and index from a snapshot or else from the store. Until it resolves, the fallback answers requests. The signal ends it early. */
  load: (signal?: AbortSignal) => Promise<LoadedCatalogue>;
  close: () => Promise<void>;
}

/**
 * Opens all parts in order, and closes them when a later step fails.
 * @param stop ends the opening between two steps
 * @throws ArtifactError, InputError, ConfigError when the model, the database or a setting must not be used
 */
export async function openServer(config: Config, log: Logger, clock: Clock = systemClock, stop?: AbortSignal): Promise<Server> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    while (closers.length > 0) await closers.pop()?.();
  };
  try {
    return Object.assign(await openParts(config, log, clock, closers, stop), { close }); // a spread would evaluate the getter `generation` once
  } catch (error) {
    await close().catch((problem: unknown) => log.error({ reason: messageOf(problem) }, 'closing failed'));
    throw explained(error, config);
  }
}

async function openParts(
  config: Config,
  log: Logger,
  clock: Clock,
  closers: (() => Promise<void>)[],
  stop: AbortSignal | undefined,
): Promise<Omit<Server, 'close'>> {
  const metrics = createMetrics();
  metrics.build.set({ version: PACKAGE_VERSION }, 1);
  const tracing = config.otlpEndpoint === '' ? null : await openTracing(config, log);
  if (tracing !== null) closers.push(tracing.close);
  const health = createStorageHealth(metrics, log, clock.now);
  const openStorage = config.databaseUrl === '' ? openEmbeddedStorage : openClusterStorage;
  const storage = await openStorage({ config, metrics, health, clock, log });
  const { stores } = storage;
  closers.push(stores.close);
  stop?.throwIfAborted();

  const attributes = createAttributeRegistry();
  stores.attributes.onChange(attributes.apply);
  for (const known of await stores.attributes.list()) attributes.apply(known.name, known);

  const interner = createItemInterner();
  const { generations, current } = await openModel(config, stores, interner, clock, metrics, log);
  closers.push(generations.close);
  stop?.throwIfAborted();
  const steadyNow = steadyTime(clock);
  const retentionTime = createRetentionTime(stores.keyValues, clock);
  let ready = false;
  const isReady = (): boolean => ready;
  const popularity = await openPopularity(config, stores, current, isReady, steadyNow);
  stop?.throwIfAborted();
  const describe = (itemIds: readonly string[]) => describeItems(generations.current, itemIds);
  const { fuse, indexed } = generations;
  const ingest = createIngest({
    items: stores.items,
    fuse,
    indexed,
    inEffect: storage.replicas.inEffect,
    describe,
    popularity,
    maxQueue: config.maxItemQueue,
    metrics,
    log,
  });
  closers.push(ingest.settle);

  const erasure = createErasure({
    events: stores.events,
    changes: stores.changes,
    inEffect: storage.replicas.inEffect,
    keyValues: stores.keyValues,
  });
  const snapshots = openSnapshots({
    folder: storage.snapshotFolder,
    items: stores.items,
    changes: stores.changes,
    current: () => snapshotSubject(current(), config),
    minutes: config.snapshotMinutes,
    kept: config.snapshotsKept,
    metrics,
    health,
    log,
  });
  closers.push(async () => {
    await snapshots.close();
    await ingest.settle();
    if (ready) await snapshots.writeIfStale();
  });
  await checkSize(config, stores, current(), snapshots, log);
  const upkeep = createUpkeep({ generations, source: { events: stores.events, interner }, metrics, log });
  closers.push(repeat(upkeep, config.recallCheckSeconds * 1000));
  closers.push(...storage.watch());
  closers.push(keepRetention(erasure, config.eventRetentionDays, retentionTime, log));
  const servedLog = storage.openServed(retentionTime);
  if (servedLog !== null) closers.push(servedLog.close);

  const cursors = createCursors(await cursorSecret(config, stores), config.cursorMinutes);
  const parts = { config, log, metrics, health, tracing, stores, generations, ingest, popularity, erasure, snapshots, isReady };
  const routes = routesOf(parts, { attributes, interner, cursors, servedLog, describe, clock, steadyNow, replicas: storage.replicas });
  const load = async (signal?: AbortSignal): Promise<LoadedCatalogue> => {
    const loaded = await loadCatalogue(parts, current(), signal).catch((error: unknown) => {
      throw explained(error, config);
    });
    await storage.begin({
      describe: async () => {
        const { artifact, catalogue } = current();
        const { size } = await catalogue.status();
        return { name: `${hostname()}:${config.port}`, version: PACKAGE_VERSION, fingerprint: artifact.fingerprint, items: size };
      },
      applied: () => indexed({ itemId: '', sequence: stores.changes.itemSequence }, 'applied'),
    });
    ready = true;
    if (config.databaseUrl !== '') closers.push(repeat(createModelFollower({ keyValues: stores.keyValues, generations, log }), FOLLOW_MODEL_MS));
    // built from the store: a snapshot makes the next start faster
    if (loaded.snapshot === null && loaded.size > 0) void snapshots.writeIfStale();
    return loaded;
  };
  return {
    ...parts,
    heal: storage.heal,
    routes,
    load,
    get generation() {
      return current();
    },
  };
}

/** Opens the model of this start with its threads; imports the bundled catalogue at the first start of the demo. */
async function openModel(config: Config, stores: Stores, interner: ItemInterner, clock: Clock, metrics: Metrics, log: Logger) {
  const model = await advised(() => chooseModel(config.modelDir, stores), ADVICE.modelChoice);
  const artifact = await advised(() => readArtifact(model.folder), ADVICE.modelFiles);
  if (isReplaced(artifact, await stores.models.list()))
    log.warn(
      { folder: artifact.folder, fingerprint: artifact.fingerprint },
      'the folder holds another model than before: it serves without the checks of a swap',
    );
  const opened = new WeakMap<object, EmbeddedGeneration>();
  const open = (): Promise<Generations> =>
    openGenerations(artifact, {
      stores,
      interner,
      metrics,
      log,
      minRecall: config.swapMinRecall,
      minCoverage: config.swapMinCoverage,
      open: async (wanted, onCrash) => {
        const generation = await openGeneration(wanted, { config, stores, interner, clock, metrics, log }, onCrash);
        opened.set(generation, generation);
        return generation;
      },
      onCrash: endProcess(log),
    });
  const generations = await advised(open, ADVICE.towers);
  try {
    const { manifest } = artifact;
    if (model.isFreshDemo) {
      const expected = { layers: manifest.layers.count, width: manifest.hidden_dim };
      await model.beginDemo();
      await importDemo({ fileOf: demoFile, expected, positives: positiveRule(config), stores });
      log.info({ items: await stores.items.count() }, 'imported the bundled demo: a synthetic catalogue');
    }
    await model.remember();
  } catch (error) {
    await generations.close();
    throw error;
  }
  const current = (): EmbeddedGeneration => opened.get(generations.current) as EmbeddedGeneration; // opened above, like all of them
  return { generations, current };
}

/** The secret that signs cursors: that of the settings, or one that is drawn once and stored. */
async function cursorSecret({ cursorSecret: given }: Config, { keyValues }: Stores): Promise<string> {
  if (given !== '') return given;
  return (await keyValues.get(CURSOR_SECRET_KEY)) ?? keyValues.add(CURSOR_SECRET_KEY, randomBytes(32).toString('hex'));
}

/** Compares the catalogue with the memory limit before it is loaded. @throws StartError when it certainly does not fit */
async function checkSize(config: Config, { items }: Stores, generation: EmbeddedGeneration, snapshots: Snapshots, log: Logger): Promise<void> {
  const count = snapshots.list()[0]?.items ?? (await items.count()); // counting a million takes most of a second
  const check = checkMemory(catalogueSize(config, generation.artifact.manifest.dim, count), memoryLimit());
  refuseFailed(check);
  if (check.status === 'warning') log.warn({ advice: check.advice }, check.detail);
}

/** Whether the folder is registered, but with another model. */
const isReplaced = ({ folder, fingerprint }: Artifact, known: readonly ModelRecord[]): boolean =>
  known.some((model) => model.folder === folder) && known.every((model) => model.fingerprint !== fingerprint);

async function openPopularity(
  config: Config,
  { events }: Stores,
  current: () => EmbeddedGeneration,
  isReady: () => boolean,
  now: () => number,
): Promise<Popularity> {
  const halfLifeMs = config.popularityHalfLifeHours * 3_600_000;
  let popularity: Popularity | null = null;
  const early: CountChange[] = []; // what other servers write while the totals are read
  events.onCount((change) => (popularity === null ? early.push(change) : popularity.count(change)));
  popularity = await createPopularity({
    now,
    halfLifeMs,
    // while the catalogue loads, its items are not known yet
    isKnown: (itemId) => !isReady() || current().table.find(itemId) !== undefined,
    initial: { positives: events.popularity(now(), halfLifeMs), impressions: events.impressionCounts() },
  });
  for (const change of early) popularity.count(change);
  return popularity;
}

type Parts = Pick<
  Server,
  'config' | 'log' | 'metrics' | 'health' | 'stores' | 'generations' | 'ingest' | 'popularity' | 'erasure' | 'snapshots' | 'isReady'
>;

async function loadCatalogue(
  { snapshots, stores, generations, log }: Parts,
  generation: EmbeddedGeneration,
  signal?: AbortSignal,
): Promise<LoadedCatalogue & { size: number }> {
  const started = performance.now();
  const before = stores.changes.itemSequence; // no item is written before the catalogue is ready
  const found = await snapshots.restore();
  const { fused } = found === null ? await generations.load((items) => log.debug({ items }, 'loading'), signal) : { fused: 0 };
  const { replayed } = found === null ? { replayed: 0 } : await generation.indexer.follow(before, found.changed);
  const { size, states } = await generation.catalogue.status();
  if (size > 0 && states.searchable === 0)
    log.warn(
      { items: size, ...states },
      'no item can be searched for: the model cannot fuse what the store holds, or the items came without hidden states',
    );
  const loaded = { snapshot: found?.snapshot ?? null, restored: found?.restored ?? 0, replayed };
  log.info({ items: size, fused, ...loaded, seconds: (performance.now() - started) / 1000 }, 'catalogue loaded');
  return { ...loaded, size };
}

interface RouteParts {
  attributes: AttributeRegistry;
  interner: ItemInterner;
  cursors: ReturnType<typeof createCursors>;
  servedLog: ServedLog | null;
  clock: Clock;
  steadyNow: () => number;
  describe: Parameters<typeof readItem>[1]['describe'];
  replicas: ReplicaStore;
}

function routesOf(parts: Parts, { attributes, interner, cursors, servedLog, describe, clock, steadyNow, replicas }: RouteParts): Routes {
  const { config, log, metrics, stores, generations, ingest, popularity, erasure, snapshots, isReady } = parts;
  const { items, events, changes } = stores;
  const seen = new WeakMap<Generation, ServingGeneration>();
  const serving = (): ServingGeneration => {
    const { current } = generations;
    const known = seen.get(current) ?? servingOf(current, stores);
    seen.set(current, known);
    return known;
  };
  const find = (itemIds: readonly string[]) => generations.current.retrieval.find(itemIds);
  const expectedShape = () => expectedBy(generations.current.artifact);
  const eventIngest = { events, items, changes, positives: positiveRule(config), find, now: clock.now };
  const recommend = createRecommender(
    serving,
    {
      attributes,
      changes: visibleChanges(changes, generations),
      events,
      popularity,
      histories: createHistories(events, interner, config.historyCacheItems),
      interner,
      cursors,
      ownTurn: createTurnstile(),
      now: clock.now,
      steadyNow,
      exploration: { budget: config.explorationBudget, maxAgeMs: config.explorationDays * 24 * 3_600_000 },
      isReady,
    },
    metrics,
  );
  /** Others may have acknowledged deletes that a server without a lease does not know of. */
  const whileLeased =
    (answer: Recommend): Recommend =>
    async (request) => {
      if (!isReady() || replicas.mayServe()) return answer(request);
      if (config.staleAnswers === 'refuse') throw staleServer();
      return { ...(await answer(request)), isStale: true };
    };
  return {
    recommendations: {
      recommend: whileLeased(recommend),
      logServed: (entry) => servedLog?.append(entry) ?? `rec_${randomUUID().replaceAll('-', '')}`,
      servedLog,
    },
    items: {
      isReady,
      ingest,
      expectedShape,
      readItem: (itemId) => readItem(itemId, { items, describe }),
      listItems: (query) => listItems(query, { items, describe }),
    },
    itemBatch: { isReady, ingest, expectedShape, idempotency: createIdempotency(stores.idempotency, log, steadyNow), config, log },
    attributes: {
      store: stores.attributes,
      registry: attributes,
      countWith: (name) => (isReady() ? generations.current.catalogue.countWith(name) : null),
    },
    events: { ingestEvents: (rows) => ingestEvents(rows, eventIngest) },
    users: { readHistory: (...query) => readHistory(...query, { events, changes, find }), erasure, events, config },
    map: { isReady, serving, maps: createItemMaps() },
    models: { isReady, models: stores.models, generations },
    reports: {
      measureQuality: servedLog === null ? null : (hours) => measureQuality(events, servedLog, clock.now() - hours * 3_600_000, clock.now()),
    },
    snapshots: { isReady, snapshots },
    replicas: { replicas, sequence: () => changes.sequence },
    operations: {
      isReady,
      storage: parts.health,
      countItems: async () => (await generations.current.catalogue.status()).size,
      scrape: () => scrape(parts),
    },
  };
}

/** The metrics in Prometheus' text format. Gauges of state are set here, at each scrape. */
async function scrape({ metrics, health, config, generations, snapshots, isReady }: Parts): Promise<string> {
  const { catalogue } = generations.current;
  metrics.ready.set(isReady() ? 1 : 0);
  try {
    const { bavail, blocks, bsize } = await statfs(config.dataDir);
    metrics.dataAvailable.set(bavail * bsize);
    metrics.dataSize.set(blocks * bsize);
  } catch (error) {
    health.told(error); // the other metrics are wanted all the more
  }
  const { states } = await catalogue.status();
  for (const [state, count] of Object.entries(states)) metrics.items.set({ state }, count);
  for (const [reason, count] of Object.entries(await catalogue.countUnavailable(Date.now()))) metrics.itemsUnavailable.set({ reason }, count);
  const [snapshot] = snapshots.list();
  if (snapshot !== undefined) metrics.snapshotAge.set(Math.max(0, Date.now() - snapshot.created_at) / 1000);
  return metrics.registry.metrics();
}
