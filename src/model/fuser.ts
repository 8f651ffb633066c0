import type { Provider } from '../config.js';
import type { Metrics } from '../metrics.js';
import type { Artifact, Manifest } from './artifact.js';
import { layerNorms, type Golden } from './golden.js';
import { GPU_LOCK } from './gpu-lock.js';
import { startWorker } from '../threads/worker-client.js';

export interface FuserSetup {
  towerPath: string;
  manifest: Manifest;
  golden: Golden;
  providers: 'auto' | Provider[];
  requireGpu: boolean;
  gpuLock: SharedArrayBuffer;
}

export type FuseRequest = { id: number } & ({ type: 'verify' } | { type: 'fuse'; itemIndex: BigInt64Array; hiddenStates: Float32Array });

export interface FuseAnswer {
  /** [B, d] */
  vectors: Float32Array;
  /** [B] */
  idShares: Float32Array;
}

export interface FuseInput {
  itemId: string;
  /** [L, D] flattened; null: the item has no features and is fused from its ID row alone. */
  hiddenStates: Float32Array | null;
}

export interface FusedItem {
  /** [d], not normalised */
  vector: Float32Array;
  /** Mean of the gate: how much of the vector comes from the ID embedding. */
  idShare: number;
}

/** Items in one run of the item tower; bounds memory, not throughput. */
const MAX_FUSE_BATCH = 256;

/** The item tower on its own thread. Calls made while it runs are fused together in the next run. */
export interface Fuser {
  provider: Provider;
  skipped: string[];
  fuse(item: FuseInput): Promise<FusedItem>;
  close(): Promise<void>;
}

/** Mean over layers of the norm against the typical one: 1 as long as the extractor stays the same. */
function normRatio(states: Float32Array, typical: readonly number[]): number {
  const ratios = layerNorms(states, typical.length).map((norm, layer) => norm / Math.max(typical[layer] ?? 0, 1e-12));
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}

/** Starts the thread and runs the golden vectors. @throws ArtifactError when the tower does not load or does not match */
export async function startFuser(
  artifact: Artifact,
  settings: { executionProviders: 'auto' | Provider[]; requireGpu: boolean },
  metrics: Metrics,
  onCrash: (error: Error) => void,
): Promise<Fuser> {
  const { manifest } = artifact;
  const setup: FuserSetup = {
    towerPath: artifact.itemTowerPath,
    manifest,
    golden: artifact.golden,
    providers: settings.executionProviders,
    requireGpu: settings.requireGpu,
    gpuLock: GPU_LOCK,
  };
  const worker = startWorker(new URL('./fuser-worker.js', import.meta.url).href, setup, onCrash);
  const verified = await worker.call<{ provider: Provider; skipped: string[] }>({ type: 'verify' }).catch(async (error: unknown) => {
    await worker.close();
    throw error;
  });

  interface Waiting extends FuseInput {
    resolve: (fused: FusedItem) => void;
    reject: (error: unknown) => void;
  }
  const queue: Waiting[] = []; // bounded by those who fill it: writes under way (REELFUSE_MAX_ITEM_QUEUE), and the batches of a loading generation
  let running = false;
  const width = manifest.layers.count * manifest.hidden_dim;

  const run = async (batch: Waiting[]): Promise<void> => {
    const itemIndex = BigInt64Array.from(batch, ({ itemId }) => BigInt(artifact.idRows.get(itemId) ?? manifest.unknown_item_row));
    const hiddenStates = new Float32Array(batch.length * width); // zeros mean "no features" to the tower
    batch.forEach((item, row) => {
      if (item.hiddenStates === null || width === 0) return;
      hiddenStates.set(item.hiddenStates, row * width);
      if (artifact.norms !== null) metrics.normRatio.observe(normRatio(item.hiddenStates, artifact.norms));
    });
    try {
      const request = { type: 'fuse', itemIndex, hiddenStates };
      const { vectors, idShares } = await worker.call<FuseAnswer>(request, [itemIndex.buffer, hiddenStates.buffer]);
      metrics.batchSize.observe({ tower: 'item' }, batch.length);
      batch.forEach(({ resolve }, row) => {
        const idShare = idShares[row] as number; // one share a row of the batch
        metrics.idShare.observe(idShare);
        resolve({ vector: vectors.slice(row * manifest.dim, (row + 1) * manifest.dim), idShare });
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };

  const pump = async (): Promise<void> => {
    if (running) return;
    running = true;
    while (queue.length > 0) await run(queue.splice(0, MAX_FUSE_BATCH));
    running = false;
  };

  return {
    ...verified,
    fuse: (item) =>
      new Promise((resolve, reject) => {
        queue.push({ ...item, resolve, reject });
        // one turn later, so that a whole batch of items lands in one run
        if (!running) queueMicrotask(() => void pump());
      }),
    close: () => worker.close(),
  };
}
