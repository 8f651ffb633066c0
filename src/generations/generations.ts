import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ArtifactError, ReelfuseError, messageOf, notFound } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { readArtifact, type Artifact } from '../model/artifact.js';
import type { ModelRecord, Store } from '../store/store.js';
import { loadGeneration, type Generation } from './generation.js';
import { CHOICE_KEY, choiceOf } from './model-choice.js';
import { measureRecall } from './recall.js';

const SWAP_BATCH = 64;
/** Rows of one step while requests are served: a few milliseconds of a core that they share. */
const SWAP_STEP = 8;
/** A step waits for the open requests, but not for ever. */
const MAX_WAIT_MS = 10;
const START_BATCH = 1024;
const DROP_BATCH = 2000;
const GATE_SAMPLES = 64;
/** What two samples of queries may differ by. */
const RECALL_NOISE = 0.05;

/** A generation that live writes go to. */
export interface Target {
  generation: Generation;
  /** While it loads: the items that live writes have taken over from the loading. */
  taken: Set<string> | null;
  /** Why it must not become active: a write that reached the store did not reach it. */
  failure: Error | null;
}

export type SwapState = 'verifying' | 'fusing' | 'checking' | 'active' | 'failed';

export interface Swap {
  fingerprint: string;
  state: SwapState;
  items_done: number;
  items_total: number;
  /** Recall@20 of the new index against exact search; null until it is measured. */
  recall: number | null;
  error: string | null;
  started_at: number;
  finished_at: number | null;
}

/** The generation that answers requests, the previous one kept ready for a rollback, and the one that is being prepared. */
export interface Generations {
  readonly current: Generation;
  readonly standby: Generation | null;
  /** The current one first; writes go to all of them. */
  readonly targets: readonly Target[];
  /** The last or the running swap. */
  readonly swap: Swap | null;
  /** Fills the current generation from the store at start. Rejects between two batches once the signal is given. */
  load(onProgress: (items: number) => void, signal?: AbortSignal): Promise<{ fused: number }>;
  /** Verifies a folder's digests and remembers it. @throws ArtifactError */
  register(folder: string): Promise<ModelRecord>;
  /**
   * Switches to a registered model: at once when it is current or on standby, otherwise in the background; `swap`
   * tells how far it is. Whatever fails leaves the current generation serving. Going back to the one on standby ends
   * whatever is being prepared: who needs the previous model cannot wait.
   * @throws ReelfuseError 404 `model_not_found`, 409 `swap_in_progress`
   */
  activate(fingerprint: string): Promise<Swap>;
  /**
   * Builds vectors and index of the serving model anew beside it and switches over, as a swap does; frees what deleted
   * and replaced items have left behind. A swap that is asked for ends it. Null when one is running.
   */
  rebuild(): Swap | null;
  /** Resolves when no swap is running. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

export interface GenerationsSetup {
  store: Store;
  metrics: Metrics;
  log: Logger;
  /** Below this recall@20 a new generation is refused; one of the serving model only where that is better by more than chance. */
  minRecall: number;
  /** Nor may it have fewer searchable items than this share of those of the current one. */
  minCoverage: number;
  /** Starts towers and index replicas and runs the golden vectors on the providers that will serve. */
  open: (artifact: Artifact, onCrash: (error: Error) => void) => Promise<Generation>;
  /** A dead thread of the current generation. */
  onCrash: (error: Error) => void;
  /** Resolves when the writes that have begun before this call are done. */
  settleWrites: () => Promise<void>;
}

const isOf = ({ generation }: Target, fingerprint: string): boolean => generation.artifact.fingerprint === fingerprint;

export async function openGenerations(first: Artifact, setup: GenerationsSetup): Promise<Generations> {
  const { store, metrics, log } = setup;
  let swap: Swap | null = null;
  let running: Promise<void> | null = null;
  let isRebuilding = false;
  /** Ends the preparation that is under way. */
  let preparation = new AbortController();
  let switching: Promise<unknown> = Promise.resolve();
  let closing = false;

  const openTarget = async (artifact: Artifact, taken: Set<string> | null): Promise<Target> => {
    const early: { failure: Error | null } = { failure: null };
    let target: Target | null = null;
    const generation = await setup.open(artifact, (error) => {
      if (target === null) early.failure = error;
      else if (target === current) setup.onCrash(error);
      else target.failure ??= error;
    });
    target = { generation, taken, failure: early.failure };
    return target;
  };
  const remember = async (artifact: Artifact): Promise<ModelRecord> => {
    const { fingerprint, folder, manifest } = artifact;
    const known: ModelRecord = { fingerprint, folder, manifest: JSON.stringify(manifest), registered_at: Date.now() };
    await store.registerModel(known);
    return known;
  };

  let current: Target | null = null; // the callback of openTarget looks at it
  const opened = await openTarget(first, null);
  current = opened;
  let active: Target = opened;
  let standby: Target | null = null;
  let preparing: Target | null = null;
  await remember(first);

  const announce = (): void => {
    const { artifact, fuser } = active.generation;
    metrics.generation.reset();
    metrics.generation.set({ fingerprint: artifact.fingerprint, version: artifact.manifest.version, provider: fuser.provider }, 1);
  };
  announce();

  /** Between two requests: what has begun on the old generation ends on it. @returns what serves nobody any more */
  const makeActive = (next: Target): Target | null => {
    const old = active;
    const isRebuilt = isOf(old, next.generation.artifact.fingerprint);
    const dropped = isRebuilt ? old : standby === next ? null : standby;
    if (!isRebuilt) standby = old;
    active = next;
    current = next;
    announce();
    return dropped;
  };
  /** For the next start. */
  const rememberChoice = ({ generation }: Target): Promise<void> => store.setMeta(CHOICE_KEY, choiceOf(generation.artifact.folder));
  /** One switch after another. */
  const switchTo = (next: Target, signal?: AbortSignal): Promise<Target | null> => {
    const mine = switching.then(async () => {
      await rememberChoice(next);
      if (signal?.aborted === true || next.failure !== null) await rememberChoice(active);
      signal?.throwIfAborted();
      if (next.failure !== null) throw next.failure;
      return next === active ? null : makeActive(next);
    });
    switching = mine.catch(() => undefined); // the caller is told
    return mine;
  };

  /** Ends when no write and no request holds on to it any more. */
  const retire = async (target: Target | null): Promise<void> => {
    if (target === null) return;
    await setup.settleWrites();
    await target.generation.close();
  };

  const dropOldVectors = async (): Promise<void> => {
    const keep = [active, standby].filter((target) => target !== null).map(({ generation }) => generation.artifact.fingerprint);
    while (!closing && (await store.dropVectors(keep, DROP_BATCH)).dropped === DROP_BATCH);
  };

  /** An index that finds what it has can still have next to nothing. */
  const requireCoverage = (next: Generation): void => {
    const before = active.generation.catalogue.counts().searchable;
    const after = next.catalogue.counts().searchable;
    if (after < before * setup.minCoverage)
      throw new Error(`${after} items would be searchable, now there are ${before}; wanted are at least ${setup.minCoverage} of them`);
  };

  /** What the size of the catalogue costs, it costs a rebuilt index as well: that one need only be as good as the one it replaces. */
  const requireRecall = async (next: Generation, state: Swap, pace: () => Promise<void>): Promise<void> => {
    const users = store.users(null, GATE_SAMPLES / 2).map(({ user_id: userId }) => userId);
    const measure = (generation: Generation): Promise<number | null> => measureRecall(generation, store, users, GATE_SAMPLES, pace);
    const recall = await measure(next);
    state.recall = recall;
    if (recall === null && next.catalogue.indexed > 0) throw new Error('exact search finds nothing in the new index');
    if (recall === null || recall >= setup.minRecall) return;
    const serving = isOf(active, next.artifact.fingerprint) ? await measure(active.generation) : null;
    if (serving !== null && recall >= serving - RECALL_NOISE) return;
    const compared = serving === null ? '' : `, the serving one has ${serving.toFixed(4)}`;
    throw new Error(`recall@20 of the new index is ${recall.toFixed(4)}, wanted is at least ${setup.minRecall}${compared}`);
  };

  /** Requests share the cores with fusing and index building: half of the time belongs to them, and open ones go first. */
  const createPace = (signal: AbortSignal): (() => Promise<void>) => {
    let stepped = performance.now();
    return async () => {
      await pause(performance.now() - stepped);
      await active.generation.giveWay(MAX_WAIT_MS);
      signal.throwIfAborted();
      stepped = performance.now();
    };
  };

  const prepare = async (record: ModelRecord, state: Swap, signal: AbortSignal): Promise<Target> => {
    const artifact = await readArtifact(record.folder);
    if (artifact.fingerprint !== record.fingerprint) throw new ArtifactError(`${record.folder} holds another model now: ${artifact.fingerprint}`);
    const next = await openTarget(artifact, new Set());
    preparing = next;
    await setup.settleWrites(); // writes that began without it are in the store before the store is read
    state.state = 'fusing';
    const pace = createPace(signal);
    await loadGeneration(next.generation, store, {
      batch: SWAP_BATCH,
      step: SWAP_STEP,
      pace,
      isTaken: (itemId) => next.taken?.has(itemId) === true,
      onProgress: (items) => {
        state.items_done = items;
        metrics.swapProgress.set(Math.min(1, items / Math.max(state.items_total, 1)));
      },
    });
    state.state = 'checking';
    requireCoverage(next.generation);
    await requireRecall(next.generation, state, pace);
    if (next.failure !== null) throw next.failure;
    return next;
  };

  const run = async (record: ModelRecord, state: Swap, signal: AbortSignal): Promise<void> => {
    try {
      const next = await prepare(record, state, signal);
      const dropped = await switchTo(next, signal);
      preparing = null;
      next.taken = null;
      state.state = 'active';
      metrics.swaps.inc({ outcome: 'active' });
      log.info({ ...state, seconds: (Date.now() - state.started_at) / 1000 }, 'switched to another model');
      await retire(dropped);
      await dropOldVectors();
    } catch (error) {
      if (state.state === 'active') log.error({ err: error }, 'what the swap left behind could not be cleared');
      else {
        const failed = preparing;
        preparing = null;
        state.state = 'failed';
        state.error = messageOf(error);
        metrics.swaps.inc({ outcome: signal.aborted ? 'cancelled' : 'failed' });
        if (signal.aborted) log.info({ fingerprint: record.fingerprint, reason: state.error }, 'swap cancelled');
        else log.error({ err: error, fingerprint: record.fingerprint }, 'swap refused; the model that served goes on serving');
        await retire(failed);
      }
    } finally {
      metrics.swapProgress.set(0);
      state.finished_at = Date.now();
    }
  };

  const begin = (fingerprint: string): Swap => ({
    fingerprint,
    state: 'verifying',
    items_done: 0,
    items_total: store.countItems(),
    recall: null,
    error: null,
    started_at: Date.now(),
    finished_at: null,
  });
  const atOnce = (fingerprint: string): Swap => {
    const state = begin(fingerprint);
    swap = { ...state, state: 'active', items_done: state.items_total, finished_at: Date.now() };
    return swap;
  };

  const start = (record: ModelRecord): Swap => {
    const state = begin(record.fingerprint);
    swap = state;
    preparation = new AbortController();
    running = run(record, state, preparation.signal).finally(() => {
      running = null;
      isRebuilding = false;
    });
    return state;
  };

  const rollBack = async (previous: Target): Promise<Swap> => {
    const { fingerprint } = previous.generation.artifact;
    preparation.abort(new Error(`cancelled: back to ${fingerprint} was asked for`));
    await switchTo(previous);
    log.info({ fingerprint }, 'rolled back to the previous model');
    metrics.swaps.inc({ outcome: 'active' });
    return atOnce(fingerprint);
  };

  return {
    get current() {
      return active.generation;
    },
    get standby() {
      return standby?.generation ?? null;
    },
    get targets() {
      return [...new Set([active, standby, preparing])].filter((target) => target !== null); // the prepared one is active a moment before it is done
    },
    get swap() {
      return swap;
    },
    load: (onProgress, signal) =>
      loadGeneration(active.generation, store, { batch: START_BATCH, onProgress, pace: async () => signal?.throwIfAborted() }),
    register: async (folder) => remember(await readArtifact(folder)),
    activate: async (fingerprint) => {
      const record = store.models().find((known) => known.fingerprint === fingerprint);
      if (record === undefined) throw notFound('model', fingerprint);
      if (standby !== null && standby.failure === null && isOf(standby, fingerprint)) return rollBack(standby);
      if (isRebuilding && !isOf(active, fingerprint)) {
        preparation.abort(new Error(`cancelled: ${fingerprint} was asked for`));
        await running;
      }
      if (running !== null) throw new ReelfuseError(409, 'swap_in_progress', `a swap to ${swap?.fingerprint} is running`, { retryAfter: 5 });
      return isOf(active, fingerprint) ? atOnce(fingerprint) : start(record);
    },
    rebuild: () => {
      const { fingerprint } = active.generation.artifact;
      const record = store.models().find((known) => known.fingerprint === fingerprint);
      if (running !== null || record === undefined) return null;
      isRebuilding = true;
      return start(record);
    },
    idle: async () => {
      await running;
      await switching;
    },
    close: async () => {
      closing = true;
      preparation.abort(new Error('the server is stopping'));
      await running;
      await switching;
      await Promise.all([active, standby].map((target) => target?.generation.close()));
    },
  };
}
