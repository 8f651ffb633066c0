import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createGpuScanIndex } from '../../src/index/gpu-scan.js';
import { createMetrics } from '../../src/metrics.js';
import { readArtifact } from '../../src/model/artifact.js';
import { startFuser, type FusedItem } from '../../src/model/fuser.js';
import { GPU_LOCK } from '../../src/model/gpu-lock.js';
import { mutexOf } from '../../src/threads/mutex.js';
import { bodyOf } from '../api.js';
import { build, clip, demoStates, DEMO_ARTIFACT, putClips } from '../build.js';
import { scanConformance } from '../index/scan-conformance.js';

/** Vulkan in software, as Debian's package chromium brings it: WebGPU without a GPU. */
const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const isRequired = process.env.REQUIRE_WEBGPU === '1';
const isThere = existsSync(DRIVER);

if (isThere) process.env.VK_ICD_FILENAMES ??= DRIVER;

if (!isThere && !isRequired) test('WebGPU', { skip: `there is no ${DRIVER}: apt-get install chromium libvulkan1` });
else {
  scanConformance('scan on WebGPU', (table) => createGpuScanIndex(table, 'webgpu', mutexOf(GPU_LOCK)), 0);
  test('the item tower gives the golden vectors, and of demo clips the vectors of the CPU', fusesAlike);
  test('a server on WebGPU answers as one on the CPU does, while items are put', servesAlike);
}

async function fusesAlike(): Promise<void> {
  const artifact = await readArtifact(DEMO_ARTIFACT);
  const fuseOn = async (provider: 'cpu' | 'webgpu'): Promise<FusedItem[]> => {
    const settings = { executionProviders: [provider], requireGpu: provider !== 'cpu' };
    const fuser = await startFuser(artifact, settings, createMetrics(), (error) => assert.fail(error)); // runs the golden vectors
    assert.equal(fuser.provider, provider);
    const fused = await Promise.all(
      Array.from({ length: 40 }, (_, n) => {
        const states = demoStates(clip(n + 1));
        return fuser.fuse({ itemId: clip(n + 1), hiddenStates: { ...states, data: Buffer.from(states.data, 'base64') } });
      }),
    );
    await fuser.close();
    return fused;
  };
  const [onCpu, onGpu] = [await fuseOn('cpu'), await fuseOn('webgpu')];
  onCpu.forEach(({ vector, idShare }, n) => {
    const other = onGpu[n] as FusedItem; // one a clip
    assert.ok(Math.abs(other.idShare - idShare) < 1e-4);
    vector.forEach((value, i) => assert.ok(Math.abs((other.vector[i] as number) - value) < 1e-4));
  });
}

async function servesAlike(t: Parameters<typeof build>[0]): Promise<void> {
  const answersOn = async (provider: string): Promise<{ item_id: string; score: number }[][]> => {
    const { app, api, services, stop } = await build(t, {
      REELFUSE_EXECUTION_PROVIDERS: provider,
      REELFUSE_USER_TOWER_PRECISION: 'float32',
      REELFUSE_RECOMMENDER_WORKERS: '2',
    });
    assert.equal(services.generations.current.userTower.provider, provider);
    const ask = async (n: number) => {
      const history = [clip(1 + (n % 30)), clip(1 + ((7 * n) % 30))];
      const { items } = await bodyOf(api.recommend({ history, k: 10, exact: n % 2 === 0 }));
      return items;
    };
    await putClips(app, 30);
    await Promise.all([putClips(app, 60), ...Array.from({ length: 10 }, (_, n) => ask(n))]);
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => ask(n)));
    await stop();
    return answers;
  };
  const [onCpu, onGpu] = [await answersOn('cpu'), await answersOn('webgpu')];
  onCpu.forEach((items, n) => {
    const others = onGpu[n] ?? [];
    assert.deepEqual(
      others.map(({ item_id: id }) => id),
      items.map(({ item_id: id }) => id),
    );
    items.forEach(({ score }, rank) => assert.ok(Math.abs((others[rank]?.score ?? NaN) - score) < 1e-3));
  });
}
