import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demoFile } from '../src/generations/model-choice.js';
import type { Manifest } from '../src/model/manifest.js';
import { readGolden } from '../src/model/golden.js';
import { openSafetensors } from '../src/model/safetensors.js';

export interface OtherModel {
  version: string;
  /** How far the weights are moved from the bundled model's. */
  strength?: number;
  /** May damage a file before its digest is taken. */
  change?: { file: string; edit: (bytes: Buffer) => void } | null;
}

/** Writes a model whose scores are not the bundled one's: weights of both towers are moved, golden outputs and digests made anew. */
export async function writeOtherModel(folder: string, { version, strength = 1, change = null }: OtherModel): Promise<void> {
  cpSync(demoFile('artifact'), folder, { recursive: true });
  const edit = (file: string, by: (bytes: Buffer) => void): void => {
    const bytes = readFileSync(join(folder, file));
    by(bytes);
    writeFileSync(join(folder, file), bytes);
    manifest.files[file] = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  };
  const manifest = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8')) as Manifest;
  manifest.version = version;
  edit('item_tower.onnx', (bytes) => moveWeights(bytes, 'tower.gate.bias', strength));
  for (const file of ['user_tower.onnx', 'user_tower_int8.onnx']) edit(file, (bytes) => moveWeights(bytes, 'blocks.1.feed_norm.bias', strength / 4));
  const outputs = outputsOf.get(strength) ?? (await goldenOutputs(folder, manifest));
  outputsOf.set(strength, outputs);
  const { tensors, close } = openSafetensors(join(folder, 'golden.safetensors'));
  close();
  edit('golden.safetensors', (bytes) => {
    for (const [name, values] of Object.entries(outputs))
      values.forEach((value, n) => bytes.writeFloatLE(value, (tensors.get(name)?.begin ?? NaN) + 4 * n));
  });
  if (change !== null) edit(change.file, change.edit);
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest));
}

/** In an ONNX file a tensor's name is followed by field 9, its raw bytes, here 256 of them: 64 floats. */
const RAW_64_FLOATS = Buffer.from([0x4a, 0x80, 0x02]);

/** Adds to one half of an initializer's values and takes from the other. */
function moveWeights(bytes: Buffer, initializer: string, by: number): void {
  const head = Buffer.concat([Buffer.from(initializer), RAW_64_FLOATS]);
  const first = bytes.indexOf(head) + head.length;
  if (first < head.length) throw new Error(`the tower has no ${initializer} of 64 floats`);
  for (let n = 0; n < 64; n++) bytes.writeFloatLE(bytes.readFloatLE(first + 4 * n) + (n % 2 === 0 ? by : -by), first + 4 * n);
}

/** By strength: the weights follow from it. */
const outputsOf = new Map<number, Record<string, Float32Array>>();

async function goldenOutputs(folder: string, manifest: Manifest): Promise<Record<string, Float32Array>> {
  const { items, histories, itemIndex, hiddenStates, itemVectors, mask } = readGolden(join(folder, 'golden.safetensors'), manifest);
  const { dim, max_history: length, layers, hidden_dim: width } = manifest;
  const run = async (tower: string, feeds: Record<string, Tensor>) =>
    (await InferenceSession.create(join(folder, tower), { executionProviders: ['cpu'] })).run(feeds);
  const item = await run('item_tower.onnx', {
    item_index: new Tensor('int64', itemIndex, [items]),
    hidden_states: new Tensor('float32', hiddenStates, [items, layers.count, width]),
  });
  const user = await run('user_tower.onnx', {
    item_vectors: new Tensor('float32', itemVectors, [histories, length, dim]),
    mask: new Tensor('bool', mask, [histories, length]),
  });
  const floats = (tensor: Tensor | undefined): Float32Array => tensor?.data as Float32Array; // outputs of both towers are float32
  return {
    'item.item_vector': floats(item.item_vector),
    'item.id_share': floats(item.id_share),
    'user.user_vector': floats(user.user_vector),
  };
}
