import type { Logger } from 'pino';
import { ReelfuseError, notFound } from '../errors.js';
import type { ItemInterner } from '../domain/item-interner.js';
import type { Metrics } from '../metrics.js';
import { readArtifact, type Artifact } from '../model/artifact.js';
import type { ModelRecord } from '../store/models.js';
import type { Stores } from '../store/stores.js';
import { createFanOut, type FanOut } from './fan-out.js';
import type { Generation } from './generation.js';
import { isOf, openLineUp, type Loaded, type LineUpSetup } from './line-up.js';
import { rememberModel } from './model-choice.js';
import { beginSwap, instantSwap, runSwap, type Swap, type SwapSetup } from './swap.js';

const START_BATCH = 1024;
const DROP_BATCH = 2000;

/** The models of this server: the one that serves, the previous one on standby, and the one that is being prepared. */
export interface Generations extends FanOut {
  /** The generation that answers requests now. Read it once in each request. */
  readonly current: Generation;
  readonly standby: Generation | null;
  /** The current generation, the standby and the one that is being prepared. */
  readonly loaded: readonly Generation[];
  /** The last or the running swap. */
  readonly swap: Swap | null;
  /** Fills the current generation from the store at start. Rejects between two batches once the signal is aborted. */
  load(onProgress: (items: number) => void, signal?: AbortSignal): Promise<{ fused: number }>;
  /** Verifies the digests of a model folder and records the model in the store. @throws ArtifactError */
  register(folder: string): Promise<ModelRecord>;
  /**
   * Switches to a registered model: at once when it is current or on standby, otherwise in the background. `swap` shows the
   * progress. The current generation keeps serving when a switch fails. Switching to the standby cancels a swap that is being
   * prepared, because a rollback cannot wait.
   * @throws ReelfuseError 404 `model_not_found`, 409 `swap_in_progress`
   */
  activate(fingerprint: string): Promise<Swap>;
  /**
   * Builds the index of the serving model anew and switches to it, as a swap does. This frees the slots and graph nodes of
   * deleted and replaced items. `activate` cancels a rebuild.
   * @returns null when a swap or rebuild is running
   */
  rebuild(): Swap | null;
  /** Resolves when no swap is running. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

export interface GenerationsSetup {
  stores: Pick<Stores, 'items' | 'events' | 'vectors' | 'models'> & { keyValues: Pick<Stores['keyValues'], 'get' | 'set'> };
  interner: Pick<ItemInterner, 'find'>;
  metrics: Pick<Metrics, 'generation' | 'swaps' | 'swapProgress'>;
  log: Logger;
  /** See GateSetup. */
  minRecall: number;
  minCoverage: number;
  open: LineUpSetup['open'];
  onCrash: LineUpSetup['onCrash'];
}

/** A swap in the background. */
interface Running {
  done: Promise<void>;
  /** Cancels the preparation. */
  abort: AbortController;
  isRebuild: boolean;
}

export async function openGenerations(first: Artifact, setup: GenerationsSetup): Promise<Generations> {
  const { stores, metrics, log } = setup;
  let swap: Swap | null = null;
  let running: Running | null = null;
  let isClosing = false;

  const register = async ({ fingerprint, folder, manifest }: Artifact): Promise<ModelRecord> => {
    const record: ModelRecord = { fingerprint, folder, manifest: JSON.stringify(manifest), registered_at: Date.now() };
    await stores.models.register(record);
    return record;
  };
  const lineUp = await openLineUp(first, {
    open: setup.open,
    onCrash: setup.onCrash,
    onActive: ({ artifact, fuser }) => {
      metrics.generation.reset();
      metrics.generation.set({ fingerprint: artifact.fingerprint, version: artifact.manifest.version, provider: fuser.provider }, 1);
    },
    remember: ({ folder }) => rememberModel(stores.keyValues, folder),
  });
  try {
    await register(first);
  } catch (error) {
    await lineUp.active.generation.close(); // its threads would keep the process alive
    throw error;
  }

  const swapSetup: SwapSetup = {
    lineUp,
    models: stores.models,
    items: stores.items,
    gates: { events: stores.events, interner: setup.interner, minRecall: setup.minRecall, minCoverage: setup.minCoverage },
    dropOldVectors: async () => {
      const keep = [lineUp.active, lineUp.standby].flatMap((loaded) => loaded?.generation.artifact.fingerprint ?? []);
      while (!isClosing && (await stores.vectors.dropOthers(keep, DROP_BATCH)) === DROP_BATCH);
    },
    metrics,
    log,
  };
  const start = (begun: Swap, isRebuild: boolean): Swap => {
    const abort = new AbortController();
    const mine: Running = {
      abort,
      isRebuild,
      done: runSwap(begun, abort.signal, swapSetup).finally(() => {
        running = null;
      }),
    };
    running = mine;
    swap = begun;
    return begun;
  };
  const rollBack = async (previous: Loaded, itemsTotal: number): Promise<Swap> => {
    const { fingerprint } = previous.generation.artifact;
    running?.abort.abort(new Error(`cancelled: back to ${fingerprint} was asked for`));
    await lineUp.switchTo(previous);
    log.info({ fingerprint }, 'rolled back to the previous model');
    metrics.swaps.inc({ outcome: 'active' });
    swap = instantSwap(fingerprint, itemsTotal);
    return swap;
  };
  return {
    ...createFanOut(lineUp, log),
    get current() {
      return lineUp.active.generation;
    },
    get standby() {
      return lineUp.standby?.generation ?? null;
    },
    get loaded() {
      return lineUp.loaded.map(({ generation }) => generation);
    },
    get swap() {
      return swap;
    },
    load: (onProgress, signal) =>
      lineUp.active.generation.indexer.load({ batch: START_BATCH, onProgress, pace: async () => signal?.throwIfAborted() }),
    register: async (folder) => register(await readArtifact(folder)),
    activate: async (fingerprint) => {
      const [known, itemsTotal] = await Promise.all([stores.models.list(), stores.items.count()]);
      if (!known.some((model) => model.fingerprint === fingerprint)) throw notFound('model', fingerprint);
      const { standby } = lineUp;
      if (standby !== null && standby.failure === null && isOf(standby, fingerprint)) return rollBack(standby, itemsTotal);
      if (running?.isRebuild === true && !isOf(lineUp.active, fingerprint)) {
        running.abort.abort(new Error(`cancelled: ${fingerprint} was asked for`));
        await running.done;
      }
      if (running !== null) throw new ReelfuseError(409, 'swap_in_progress', `a swap to ${swap?.fingerprint} is running`, { retryAfter: 5 });
      if (!isOf(lineUp.active, fingerprint)) return start(beginSwap(fingerprint, itemsTotal), false);
      swap = instantSwap(fingerprint, itemsTotal);
      return swap;
    },
    rebuild: () => (running !== null || isClosing ? null : start(beginSwap(lineUp.active.generation.artifact.fingerprint, 0), true)),
    idle: async () => {
      await running?.done;
      await lineUp.settled();
    },
    close: async () => {
      isClosing = true;
      running?.abort.abort(new Error('the server is stopping'));
      await running?.done;
      await lineUp.settled();
      await Promise.all([lineUp.active, lineUp.standby].map((loaded) => loaded?.generation.close()));
    },
  };
}
