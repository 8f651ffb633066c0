import type { Logger } from 'pino';
import { ArtifactError, messageOf, notFound } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { readArtifact, type Artifact } from '../model/artifact.js';
import type { ItemStore } from '../store/items.js';
import type { ModelStore } from '../store/models.js';
import { requireCoverage, requireRecall, type GateSetup } from './gates.js';
import type { LineUp, Loaded } from './line-up.js';
import { createPace } from './pace.js';

const SWAP_BATCH = 64;
/** Items of one step while requests are served: a few milliseconds of one core. */
const SWAP_STEP = 8;

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

export const beginSwap = (fingerprint: string, itemsTotal: number): Swap => ({
  fingerprint,
  state: 'verifying',
  items_done: 0,
  items_total: itemsTotal,
  recall: null,
  error: null,
  started_at: Date.now(),
  finished_at: null,
});

/** A switch that needed no preparation. */
export function instantSwap(fingerprint: string, itemsTotal: number): Swap {
  const swap = beginSwap(fingerprint, itemsTotal);
  return { ...swap, state: 'active', items_done: itemsTotal, finished_at: swap.started_at };
}

export interface SwapSetup {
  lineUp: LineUp;
  models: Pick<ModelStore, 'list'>;
  items: Pick<ItemStore, 'count'>;
  gates: GateSetup;
  /** Deletes the vectors of models that are neither active nor on standby. */
  dropOldVectors: () => Promise<void>;
  metrics: Pick<Metrics, 'swaps' | 'swapProgress'>;
  log: Pick<Logger, 'info' | 'error'>;
}

/** Prepares a registered model and switches to it. Never rejects: `swap` holds the progress and the outcome. */
export async function runSwap(swap: Swap, signal: AbortSignal, setup: SwapSetup): Promise<void> {
  const { metrics, log } = setup;
  try {
    const dropped = await switchOver(swap, signal, setup);
    try {
      await dropped?.generation.close();
      await setup.dropOldVectors();
    } catch (error) {
      log.error({ err: error }, 'the replaced generation or its stored vectors could not be removed');
    }
  } catch (error) {
    swap.state = 'failed';
    swap.error = messageOf(error);
    metrics.swaps.inc({ outcome: signal.aborted ? 'cancelled' : 'failed' });
    if (signal.aborted) log.info({ fingerprint: swap.fingerprint, reason: swap.error }, 'swap cancelled');
    else log.error({ err: error, fingerprint: swap.fingerprint }, 'swap refused; the model that served goes on serving');
    await closeFailed(setup);
  } finally {
    metrics.swapProgress.set(0);
    swap.finished_at = Date.now();
  }
}

/** @returns the generation that left the line-up; null: none */
async function switchOver(swap: Swap, signal: AbortSignal, setup: SwapSetup): Promise<Loaded | null> {
  const started = performance.now();
  const next = await prepare(swap, signal, setup);
  const dropped = await setup.lineUp.switchTo(next, signal);
  swap.state = 'active';
  setup.metrics.swaps.inc({ outcome: 'active' });
  setup.log.info({ ...swap, seconds: (performance.now() - started) / 1000 }, 'switched to another model');
  return dropped;
}

/** Fills a generation beside the serving one and checks it by the gates. */
async function prepare(swap: Swap, signal: AbortSignal, { lineUp, models, items, gates, metrics }: SwapSetup): Promise<Loaded> {
  const artifact = await readModel(swap.fingerprint, models);
  swap.items_total = await items.count();
  const next = await lineUp.prepare(artifact);
  const { generation } = next;
  const serving = () => lineUp.active.generation;
  const pace = createPace(serving, signal);
  swap.state = 'fusing';
  await generation.indexer.load({
    batch: SWAP_BATCH,
    step: SWAP_STEP,
    pace,
    onProgress: (items) => {
      swap.items_done = items;
      metrics.swapProgress.set(Math.min(1, items / Math.max(swap.items_total, 1)));
    },
  });
  swap.state = 'checking';
  await requireCoverage(generation, serving(), gates.minCoverage);
  await requireRecall(generation, serving(), gates, pace, (recall) => {
    swap.recall = recall;
  });
  if (next.failure !== null) throw next.failure;
  return next;
}

async function readModel(fingerprint: string, models: SwapSetup['models']): Promise<Artifact> {
  const record = (await models.list()).find((known) => known.fingerprint === fingerprint);
  if (record === undefined) throw notFound('model', fingerprint);
  const artifact = await readArtifact(record.folder);
  if (artifact.fingerprint !== fingerprint) throw new ArtifactError(`${record.folder} holds another model now: ${artifact.fingerprint}`);
  return artifact;
}

async function closeFailed({ lineUp, log }: SwapSetup): Promise<void> {
  try {
    await lineUp.giveUp()?.generation.close();
  } catch (error) {
    log.error({ err: error }, 'the generation of a refused model could not be closed');
  }
}
