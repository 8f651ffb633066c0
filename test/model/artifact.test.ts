import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { demoFile } from '../../src/generations/model-choice.js';
import { createMetrics } from '../../src/metrics.js';
import { readArtifact } from '../../src/model/artifact.js';
import { startFuser } from '../../src/model/fuser.js';
import { startRecommenders } from '../../src/model/recommender-pool.js';
import { temporaryFolder } from '../temporary-folder.js';

const DEMO_ARTIFACT = demoFile('artifact');

type Json = Record<string, unknown>;

/** A copy of the demo artifact that the test may damage. */
function copy(t: TestContext): string {
  const folder = temporaryFolder(t);
  cpSync(DEMO_ARTIFACT, folder, { recursive: true });
  return folder;
}

function editManifest(folder: string, edit: (manifest: Json) => void): void {
  const file = join(folder, 'model.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Json;
  edit(manifest);
  writeFileSync(file, JSON.stringify(manifest));
}

/** Changes a file and its digest too: damage that only a look at the content can find. */
function replace(folder: string, name: string, change: (bytes: Buffer) => Buffer): void {
  const file = join(folder, name);
  const bytes = change(readFileSync(file));
  writeFileSync(file, bytes);
  editManifest(folder, (manifest) => {
    (manifest.files as Json)[name] = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  });
}

const flip = (bytes: Buffer, at: number): Buffer => {
  const copied = Buffer.from(bytes);
  copied[at] = (copied[at] ?? 0) ^ 1;
  return copied;
};

/** Offset of a tensor's bytes in a safetensors file. */
function offsetOf(bytes: Buffer, tensor: string): number {
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { data_offsets: [number, number] }>;
  return 8 + length + (header[tensor]?.data_offsets[0] ?? NaN);
}

const ended = (error: Error): never => assert.fail(error);
const settings = { executionProviders: ['cpu' as const], requireGpu: false };
const poolSettings = {
  ...settings,
  precision: 'auto' as const,
  userVectorBytes: 0,
  workers: 1,
  maxBatch: 8,
  maxQueue: 8,
  hnsw: { m: 8, efConstruction: 40, ef: 40 },
};

test('the bundled artifact verifies, by digests and on the engine', async () => {
  const artifact = await readArtifact(DEMO_ARTIFACT);
  assert.match(artifact.fingerprint, /^[0-9a-f]{64}$/);
  const fuser = await startFuser(artifact, settings, createMetrics(), ended);
  assert.equal(fuser.provider, 'cpu');
  await fuser.close();
});

test('a flipped byte in any file is found and the file is named', async (t) => {
  for (const name of ['item_tower.onnx', 'user_tower.onnx', 'item_ids.txt', 'golden.safetensors']) {
    const folder = copy(t);
    const bytes = readFileSync(join(folder, name));
    writeFileSync(join(folder, name), flip(bytes, bytes.length >> 1));
    await assert.rejects(readArtifact(folder), (error: Error) => error.message.startsWith(`${name} has SHA-256`));
  }
});

test('a missing or shortened file is named', async (t) => {
  const missing = copy(t);
  rmSync(join(missing, 'user_tower.onnx'));
  await assert.rejects(readArtifact(missing), /user_tower\.onnx is missing/);
  const short = copy(t);
  writeFileSync(join(short, 'item_ids.txt'), 'a\n');
  await assert.rejects(readArtifact(short), /item_ids\.txt has 2 bytes/);
  await assert.rejects(readArtifact(join(short, 'nowhere')), /model\.json cannot be read/);
});

test('a malformed manifest names the field', async (t) => {
  const edits: [(manifest: Json) => void, RegExp][] = [
    [(manifest) => (manifest.format_version = 2), /format_version/],
    [(manifest) => (manifest.dim = '64'), /dim/],
    [(manifest) => delete manifest.similarity, /similarity/],
    [(manifest) => delete (manifest.files as Json)['user_tower.onnx'], /no digest for user_tower\.onnx/],
    [(manifest) => ((manifest.files as Json)['../escape'] = { sha256: '0'.repeat(64), bytes: 0 }), /is not a file name/],
    [(manifest) => (manifest.unknown_item_row = 1), /unknown_item_row 1/],
    [(manifest) => ((manifest.layers as Json).count = 3), /layers\.count is 3/],
  ];
  for (const [edit, message] of edits) {
    const folder = copy(t);
    editManifest(folder, edit);
    await assert.rejects(readArtifact(folder), message);
  }
});

test('golden tensors of a wrong shape are refused with both shapes', async (t) => {
  const folder = copy(t);
  editManifest(folder, (manifest) => (manifest.max_history = 7));
  await assert.rejects(readArtifact(folder), /user\.item_vectors is F32 \[.*\], the manifest wants F32 \[.*, 7, /);
});

test('an item tower whose golden output differs is refused on the engine', async (t) => {
  const folder = copy(t);
  replace(folder, 'golden.safetensors', (bytes) => {
    const changed = Buffer.from(bytes);
    const at = offsetOf(bytes, 'item.item_vector');
    changed.writeFloatLE(changed.readFloatLE(at) + 0.01, at);
    return changed;
  });
  await assert.rejects(
    startFuser(await readArtifact(folder), settings, createMetrics(), ended),
    /item_tower\.onnx item_vector: golden output differs by \d\.\d+e-3 on cpu/,
  );
});

test('a user tower whose golden output differs is refused on the engine', async (t) => {
  const folder = copy(t);
  replace(folder, 'golden.safetensors', (bytes) => {
    const changed = Buffer.from(bytes);
    changed.writeFloatLE(NaN, offsetOf(bytes, 'user.user_vector'));
    return changed;
  });
  await assert.rejects(startRecommenders(await readArtifact(folder), poolSettings, createMetrics(), ended), /user_tower\.onnx user_vector/);
});

test('an 8-bit user tower serves on the CPU unless float32 is asked for, and one that strays is refused', async (t) => {
  const folder = copy(t);
  const precisionOf = async (precision: 'auto' | 'float32'): Promise<string> => {
    const pool = await startRecommenders(await readArtifact(folder), { ...poolSettings, precision }, createMetrics(), ended);
    await pool.close();
    return pool.precision;
  };
  assert.equal(await precisionOf('auto'), 'int8');
  assert.equal(await precisionOf('float32'), 'float32');
  const other = readFileSync(join(DEMO_ARTIFACT, 'user_tower_int8.onnx'));
  const weights = other.length >> 1; // in the middle of some weight
  replace(folder, 'user_tower_int8.onnx', (bytes) =>
    Buffer.concat([bytes.subarray(0, weights), Buffer.alloc(4096, 0x55), bytes.subarray(weights + 4096)]),
  );
  await assert.rejects(precisionOf('auto'), /user_tower_int8\.onnx/);
});

test('a tower that is not ONNX is refused', async (t) => {
  const folder = copy(t);
  replace(folder, 'item_tower.onnx', () => Buffer.from('not a graph'));
  await assert.rejects(startFuser(await readArtifact(folder), settings, createMetrics(), ended), /loads on none of the execution providers: cpu:/);
});

test('a required GPU that is not there refuses the start', async () => {
  const artifact = await readArtifact(DEMO_ARTIFACT);
  await assert.rejects(
    startFuser(artifact, { executionProviders: ['cpu'], requireGpu: true }, createMetrics(), ended),
    /refused by REELFUSE_REQUIRE_GPU/,
  );
});
