import { workerData } from 'node:worker_threads';
import { Tensor } from 'onnxruntime-node';
import { createScratch } from '../index/scratch.js';
import { checkGolden, layerNorms } from './golden.js';
import { halfToFloat } from './half.js';
import { openTower } from './tower-session.js';
import { mutexOf } from '../threads/mutex.js';
import { serveRequests, type Answered } from '../threads/worker-loop.js';
import { STATES, type FuseAnswer, type FuseBatch, type FuserSetup, type FuseRequest } from './fuser.js';

const setup = workerData as FuserSetup;
const { manifest, golden, norms } = setup;
const width = manifest.layers.count * manifest.hidden_dim;
const opened = openTower(setup.towerPath, setup.providers, setup.requireGpu, mutexOf(setup.gpuLock));
opened.catch(() => undefined); // the first request reports it

interface Fused {
  /** [B, d] */
  vectors: Float32Array;
  /** [B] */
  idShares: Float32Array;
}

/** item_index [B], hidden_states [B, L, D] → item_vector [B, d], id_share [B]; feeds only inputs that the graph has. */
async function fuse(itemIndex: BigInt64Array, hiddenStates: Float32Array): Promise<Fused> {
  const tower = await opened;
  const size = itemIndex.length;
  const feeds: Record<string, Tensor> = {};
  if (tower.inputNames.includes('item_index')) feeds.item_index = new Tensor('int64', itemIndex, [size]);
  if (tower.inputNames.includes('hidden_states')) {
    feeds.hidden_states = new Tensor('float32', hiddenStates, [size, manifest.layers.count, manifest.hidden_dim]);
  }
  const output = await tower.run(feeds);
  return {
    vectors: Float32Array.from(output.item_vector?.data as Float32Array),
    idShares: Float32Array.from(output.id_share?.data as Float32Array),
  };
}

/** Mean over layers of (norm / typical norm). */
function normRatio(states: Float32Array, typical: readonly number[]): number {
  const ratios = layerNorms(states, typical.length).map((norm, layer) => norm / Math.max(typical[layer] ?? 0, 1e-12));
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}

/** [B, L, D]; batches are fused one after another and share it. */
const statesScratch = createScratch(Float32Array);

async function fuseBatch({ itemIndex, kinds, states }: FuseBatch): Promise<Answered> {
  const hiddenStates = statesScratch(kinds.length * width).fill(0); // zeros mean "no features" to the tower
  const normRatios = new Float32Array(kinds.length).fill(NaN);
  let at = 0;
  kinds.forEach((kind, row) => {
    if (kind === STATES.none || width === 0) return;
    const own = hiddenStates.subarray(row * width, (row + 1) * width);
    const bytes = width * (kind === STATES.float16 ? 2 : 4);
    // converted in place: a copy of half a megabyte costs as much as the tower
    if (kind === STATES.float16) halfToFloat(new Uint16Array(states.buffer, states.byteOffset + at, width), own);
    else new Uint8Array(own.buffer, own.byteOffset, bytes).set(states.subarray(at, at + bytes));
    at += bytes;
    if (norms !== null) normRatios[row] = normRatio(own, norms);
  });
  const { vectors, idShares } = await fuse(itemIndex, hiddenStates);
  const answer: FuseAnswer = { vectors, idShares, normRatios };
  return { answer, transfer: [vectors, idShares, normRatios].map(({ buffer }) => buffer as ArrayBuffer) };
}

async function verify() {
  const { provider, skipped } = await opened;
  const { vectors, idShares } = await fuse(golden.itemIndex, golden.hiddenStates);
  checkGolden('item_tower.onnx item_vector', provider, vectors, golden.itemVector);
  checkGolden('item_tower.onnx id_share', provider, idShares, golden.idShare);
  return { provider, skipped };
}

serveRequests<FuseRequest>(
  async (request) => (request.type === 'verify' ? { answer: await verify() } : fuseBatch(request)),
  async () => (await opened).close(),
);
