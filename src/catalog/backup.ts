import { createHash } from 'node:crypto';
import {
  closeSync,
  cpSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { InputError, messageOf } from '../errors.js';
import { readArtifact } from '../model/artifact.js';
import { lockDataDir } from '../store/data-lock.js';
import { copyDatabase, moveModel } from '../store/sqlite/backup.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { isDemoModel } from './model-choice.js';
import { MANIFEST as SNAPSHOT_MANIFEST } from './snapshot-files.js';

const MANIFEST = 'backup.json';
const MODEL = 'model';
/** Copied as they are: finished snapshots of the index, and what was served. */
const FOLDERS = ['snapshots', 'served'] as const;
const PIECE = 4 * 1024 * 1024;

const BackupManifest = Type.Object({
  format: Type.Literal('reelfuse-backup'),
  format_version: Type.Literal(1),
  created_at: Type.String(),
  schema_version: Type.Integer(),
  /** Fingerprint of the model in the folder `model`; null: the bundled demo, or none. */
  model: Type.Union([Type.String(), Type.Null()]),
  files: Type.Record(Type.String(), Type.Object({ sha256: Type.String(), bytes: Type.Integer() })),
});
export type BackupManifest = Static<typeof BackupManifest>;

function digestOf(path: string): { sha256: string; bytes: number } {
  const hash = createHash('sha256');
  const descriptor = openSync(path, 'r');
  try {
    const buffer = new Uint8Array(PIECE);
    for (let bytes = 0; ;) {
      const count = readSync(descriptor, buffer, 0, PIECE, bytes);
      if (count === 0) return { sha256: hash.digest('hex'), bytes };
      hash.update(buffer.subarray(0, count));
      bytes += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

/** Makes a folder whole or not at all: filled beside its place, synced, renamed. */
async function fillFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(resolve(target)), `.${basename(target)}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  try {
    mkdirSync(temporary, { recursive: true });
    await fill(temporary);
    for (const name of filesIn(temporary)) sync(join(temporary, name));
    sync(temporary);
    rmSync(target, { recursive: true, force: true }); // empty, as the callers have made sure
    renameSync(temporary, target);
    sync(dirname(resolve(target)));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function requireEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length > 0) throw new InputError(`${folder} is not empty`);
}

/**
 * Copies store, model, snapshots and what was served, while a server may go on serving from the folder.
 * @throws InputError
 */
export async function backUp(dataDir: string, target: string): Promise<BackupManifest> {
  if (!existsSync(join(dataDir, DATABASE_FILE))) throw new InputError(`${dataDir} holds no database`);
  requireEmpty(target);
  let manifest: BackupManifest | null = null;
  await fillFolder(target, async (folder) => {
    // before the database, so that no snapshot knows more than it
    for (const name of FOLDERS)
      if (existsSync(join(dataDir, name))) cpSync(join(dataDir, name), join(folder, name), { recursive: true, filter: isFinished });
    const { schema_version: version, model_dir: modelDir } = copyDatabase(dataDir, join(folder, DATABASE_FILE));
    let model: string | null = null;
    if (modelDir !== null && !isDemoModel(modelDir)) {
      const artifact = await readArtifact(modelDir);
      cpSync(artifact.folder, join(folder, MODEL), { recursive: true });
      model = artifact.fingerprint;
    }
    const files = Object.fromEntries(filesIn(folder).map((name) => [name, digestOf(join(folder, name))]));
    manifest = { format: 'reelfuse-backup', format_version: 1, created_at: new Date().toISOString(), schema_version: version, model, files };
    writeFileSync(join(folder, MANIFEST), JSON.stringify(manifest, null, 2));
  });
  if (manifest === null) throw new Error('the backup was not written');
  return manifest;
}

/** Leaves out what a running server is still writing, and what it has set aside. */
function isFinished(path: string): boolean {
  const name = basename(path);
  if (name.startsWith('.')) return false;
  const isSnapshot = basename(dirname(path)) === FOLDERS[0];
  return !isSnapshot || existsSync(join(path, SNAPSHOT_MANIFEST));
}

/**
 * Verifies a backup and makes a data folder of it that needs nothing from elsewhere.
 * @throws InputError naming the file that is not what was written
 */
export async function restoreBackup(source: string, dataDir: string): Promise<BackupManifest> {
  const manifest = readManifest(source);
  for (const [name, expected] of Object.entries(manifest.files)) {
    if (name.split(/[\\/]/).includes('..') || name.startsWith('/'))
      throw new InputError(`${MANIFEST}: ${JSON.stringify(name)} is not a file of a backup`);
    const path = join(source, name);
    if (!existsSync(path)) throw new InputError(`${name} is missing from ${source}`);
    const { sha256, bytes } = digestOf(path);
    if (sha256 !== expected.sha256 || bytes !== expected.bytes) throw new InputError(`${name} is not what was backed up: its digest does not hold`);
  }
  if (existsSync(dataDir)) {
    const unlock = lockDataDir(dataDir); // refuses a folder that a server is running on
    unlock();
  }
  requireEmpty(dataDir);
  await fillFolder(dataDir, async (folder) => {
    for (const name of Object.keys(manifest.files)) {
      const isModel = name.startsWith(`${MODEL}/`);
      const to = isModel ? join('models', manifest.model ?? MODEL, name.slice(MODEL.length + 1)) : name;
      cpSync(join(source, name), join(folder, to));
    }
    if (manifest.model !== null) moveModel(join(folder, DATABASE_FILE), manifest.model, join(resolve(dataDir), 'models', manifest.model));
  });
  return manifest;
}

function readManifest(source: string): BackupManifest {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(source, MANIFEST), 'utf8'));
  } catch (error) {
    throw new InputError(`${source} is not a backup: ${messageOf(error)}`, { cause: error });
  }
  if (!Value.Check(BackupManifest, json)) throw new InputError(`${source}: ${MANIFEST} is malformed`);
  return json;
}
