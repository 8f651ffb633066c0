import type { Provider } from '../config.js';
import type { Metrics } from '../metrics.js';
import type { Artifact } from './artifact.js';
import type { Manifest } from './manifest.js';
import type { Golden } from './golden.js';
import { GPU_LOCK } from './gpu-lock.js';
import { startWorker } from '../threads/worker-client.js';

export interface FuserSetup {
  towerPath: string;
  manifest: Manifest;
  golden: Golden;
  /** Typical norm of each layer; null when the artifact cannot tell. */
  norms: number[] | null;
  providers: 'auto' | Provider[];
  requireGpu: boolean;
  gpuLock: SharedArrayBuffer;
}

/** Form of an item's hidden states in a batch. */
export const STATES = { none: 0, float16: 1, float32: 2 } as const;

/** Hidden states travel as they are stored: converted to floats they would be garbage on the thread that answers requests. */
export interface FuseBatch {
  /** [B] */
  itemIndex: BigInt64Array;
  /** [B], each one of STATES */
  kinds: Uint8Array;
  /** Bytes of the items that have hidden states, one item after another. */
  states: Uint8Array;
}

export type FuseRequest = { id: number } & ({ type: 'verify' } | ({ type: 'fuse' } & FuseBatch));

export interface FuseAnswer {
  /** [B, d] */
  vectors: Float32Array;
  /** [B] */
  idShares: Float32Array;
  /** [B], mean over layers of (norm of the hidden states / typical norm): about 1 unless the extractor has changed; NaN without hidden states. */
  normRatios: Float32Array;
}

export interface FuseInput {
  itemId: string;
  /** [L, D]; null: the item has no features and is fused from IDs alone. */
  hiddenStates: StatesBytes | null;
}

export interface StatesBytes {
  dtype: 'float16' | 'float32';
  /** Little-endian, row-major. */
  data: Uint8Array;
}

export interface FusedItem {
  /** [d], not normalised */
  vector: Float32Array;
  /** Mean of the gate: share of the vector that comes from IDs, the item's own and those of its neighbours. */
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
    norms: artifact.norms,
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
  const queue: Waiting[] = []; // the callers bound it: writes in progress (REELFUSE_MAX_ITEM_QUEUE), and the batches of a loading generation
  let running = false;
  const pack = (batch: readonly Waiting[]): FuseBatch => {
    const states = new Uint8Array(batch.reduce((sum, { hiddenStates }) => sum + (hiddenStates?.data.length ?? 0), 0));
    let at = 0;
    for (const { hiddenStates } of batch) {
      if (hiddenStates === null) continue;
      states.set(hiddenStates.data, at);
      at += hiddenStates.data.length;
    }
    return {
      itemIndex: BigInt64Array.from(batch, ({ itemId }) => BigInt(artifact.idRows.get(itemId) ?? manifest.unknown_item_row)),
      kinds: Uint8Array.from(batch, ({ hiddenStates }) => STATES[hiddenStates?.dtype ?? 'none']),
      states,
    };
  };

  const run = async (batch: Waiting[]): Promise<void> => {
    const request = pack(batch);
    try {
      const { vectors, idShares, normRatios } = await worker.call<FuseAnswer>({ type: 'fuse', ...request }, [request.states.buffer as ArrayBuffer]);
      metrics.batchSize.observe({ tower: 'item' }, batch.length);
      batch.forEach(({ resolve }, row) => {
        const idShare = idShares[row] as number; // one share a row of the batch
        const normRatio = normRatios[row] as number; // and one ratio
        metrics.idShare.observe(idShare);
        if (!Number.isNaN(normRatio)) metrics.normRatio.observe(normRatio);
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
