import { workerData } from 'node:worker_threads';
import { Tensor } from 'onnxruntime-node';
import { checkGolden } from './golden.js';
import { openTower } from './tower-session.js';
import { turnsOf } from '../threads/turns.js';
import { serveRequests } from '../threads/worker-loop.js';
import type { FuseAnswer, FuserSetup, FuseRequest } from './fuser.js';

const setup = workerData as FuserSetup;
const { manifest, golden } = setup;
const opened = openTower(setup.towerPath, setup.providers, setup.requireGpu, turnsOf(setup.gpuLock));
opened.catch(() => undefined); // the first request reports it

/** item_index [B], hidden_states [B, L, D] → item_vector [B, d], id_share [B]; feeds only inputs that the graph has. */
async function fuse(itemIndex: BigInt64Array, hiddenStates: Float32Array): Promise<FuseAnswer> {
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

async function verify() {
  const { provider, skipped } = await opened;
  const { vectors, idShares } = await fuse(golden.itemIndex, golden.hiddenStates);
  checkGolden('item_tower.onnx item_vector', provider, vectors, golden.itemVector);
  checkGolden('item_tower.onnx id_share', provider, idShares, golden.idShare);
  return { provider, skipped };
}

serveRequests<FuseRequest>(
  async (request) => {
    if (request.type === 'verify') return { answer: await verify() };
    const answer = await fuse(request.itemIndex, request.hiddenStates);
    return { answer, transfer: [answer.vectors.buffer as ArrayBuffer, answer.idShares.buffer as ArrayBuffer] };
  },
  async () => (await opened).close(),
);
