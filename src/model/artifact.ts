import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { ArtifactError, messageOf } from '../errors.js';
import { readGolden, typicalNorms, type Golden } from './golden.js';
import { Manifest } from './manifest.js';

const INT8_USER_TOWER = 'user_tower_int8.onnx';
const REQUIRED = ['item_tower.onnx', 'user_tower.onnx', 'item_ids.txt', 'golden.safetensors'] as const;

export interface Artifact {
  folder: string;
  fingerprint: string;
  manifest: Manifest;
  /** Item id → row of the ID table (1-based; row 0 is padding). */
  idRows: Map<string, number>;
  golden: Golden;
  /** Typical norm of each layer of hidden states; null when no golden item has hidden states. */
  norms: number[] | null;
  itemTowerPath: string;
  userTowerPath: string;
  /** The user tower with 8-bit integer products; null when the artifact has none. */
  int8UserTowerPath: string | null;
}

/**
 * Reads an artifact, or the run folder around one, and verifies manifest, digests, ids and golden shapes.
 * The workers that load the towers check the golden outputs, on the provider that will serve.
 * @throws ArtifactError naming the file and what is wrong with it
 */
export async function readArtifact(given: string): Promise<Artifact> {
  const nested = join(given, 'artifact');
  const folder = existsSync(join(nested, 'model.json')) ? nested : given;
  const bytes = readFile(folder, 'model.json');
  const manifest = parseManifest(bytes);
  for (const name of REQUIRED) {
    if (manifest.files[name] === undefined) throw new ArtifactError(`model.json: files has no digest for ${name}`);
  }
  await Promise.all(Object.entries(manifest.files).map(([name, digest]) => verifyFile(folder, name, digest)));
  const idRows = readIds(readFile(folder, 'item_ids.txt').toString('utf8'), manifest.item_count);
  const golden = readGolden(join(folder, 'golden.safetensors'), manifest);
  return {
    folder,
    fingerprint: createHash('sha256').update(bytes).digest('hex'),
    manifest,
    idRows,
    golden,
    norms: typicalNorms(golden, manifest.layers.count, manifest.hidden_dim),
    itemTowerPath: join(folder, 'item_tower.onnx'),
    userTowerPath: join(folder, 'user_tower.onnx'),
    int8UserTowerPath: manifest.files[INT8_USER_TOWER] === undefined ? null : join(folder, INT8_USER_TOWER),
  };
}

function readFile(folder: string, name: string): Buffer {
  try {
    return readFileSync(join(folder, name));
  } catch (error) {
    throw new ArtifactError(`${name} cannot be read in ${folder}: ${messageOf(error)}`, { cause: error });
  }
}

function parseManifest(bytes: Buffer): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ArtifactError(`model.json is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (!Value.Check(Manifest, json)) {
    const [first] = Value.Errors(Manifest, json);
    throw new ArtifactError(`model.json: ${first === undefined ? 'is malformed' : `${first.instancePath || '/'} ${first.message}`}`);
  }
  const { layers, layer_weights: weights, variant, unknown_item_row: unknown, item_count: items } = json;
  if (layers.names.length !== layers.count)
    throw new ArtifactError(`model.json: layers.count is ${layers.count}, but ${layers.names.length} are named`);
  if (variant !== 'id' && weights.length !== layers.count) {
    throw new ArtifactError(`model.json: layer_weights has ${weights.length} entries for ${layers.count} layers`);
  }
  if (unknown <= items) throw new ArtifactError(`model.json: unknown_item_row ${unknown} is the row of a known item (item_count ${items})`);
  return json;
}

async function verifyFile(folder: string, name: string, expected: { sha256: string; bytes: number }): Promise<void> {
  if (name.includes('/') || name.includes('\\') || name.startsWith('.'))
    throw new ArtifactError(`model.json: ${JSON.stringify(name)} is not a file name`);
  const path = join(folder, name);
  let size: number;
  try {
    size = statSync(path).size;
  } catch (error) {
    throw new ArtifactError(`${name} is missing from ${folder}`, { cause: error });
  }
  if (size !== expected.bytes) throw new ArtifactError(`${name} has ${size} bytes, the manifest says ${expected.bytes}`);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  if (digest !== expected.sha256) throw new ArtifactError(`${name} has SHA-256 ${digest}, the manifest says ${expected.sha256}`);
}

function readIds(text: string, expected: number): Map<string, number> {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length !== expected) throw new ArtifactError(`item_ids.txt has ${lines.length} ids, the manifest says ${expected}`);
  const rows = new Map<string, number>();
  lines.forEach((id, index) => {
    if (rows.has(id)) throw new ArtifactError(`item_ids.txt: ${JSON.stringify(id)} stands on lines ${rows.get(id)} and ${index + 1}`);
    rows.set(id, index + 1);
  });
  return rows;
}
