import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { ArtifactError, InputError, messageOf } from '../errors.js';
import { digestOf, makeFolder, syncToDisk } from '../files.js';
import { readArtifact } from '../model/artifact.js';
import { LOCK_FILES, lockDataDir } from '../store/data-lock.js';
import type { CopiedDatabase, DatabaseCopier } from '../store/database-copier.js';
import { isDemoModel } from '../generations/model-choice.js';
import { MANIFEST as SNAPSHOT_MANIFEST } from './snapshots/snapshot-files.js';
import { parseSnapshotManifest } from './snapshots/snapshot-manifest.js';

/** File that every backup has, and no data folder. */
export const MANIFEST = 'backup.json';
const MODELS = 'models';
const SNAPSHOTS = 'snapshots';
const SERVED = 'served';
/** Unfinished files. The folder is inside the target, because the target may be a mount point with a read-only parent. */
export const STAGING = '.partial';
/** Folder in it that holds the files. Beside it are the files of a lock, held while the target is filled. */
const CONTENT = 'content';
/** Names that an empty folder may hold: files of its lock, and those that a file system makes. */
const IGNORED: readonly string[] = [...LOCK_FILES, 'lost+found'];

const BackupManifest = Type.Object({
  format: Type.Literal('reelfuse-backup'),
  format_version: Type.Literal(2),
  created_at: Type.String(),
  schema_version: Type.Integer(),
  /** Fingerprint of the active model; null: the bundled demo, or none. */
  model: Type.Union([Type.String(), Type.Null()]),
  /** Fingerprints of the models that are in the folder `models`. */
  models: Type.Array(Type.String()),
  /** Registered models that could not be copied. */
  left_out: Type.Array(Type.Object({ fingerprint: Type.String(), reason: Type.String() })),
  files: Type.Record(Type.String(), Type.Object({ sha256: Type.String(), bytes: Type.Integer() })),
});
export type BackupManifest = Static<typeof BackupManifest>;

/** Paths below the folder: of files, or of files and folders. */
const namesIn = (folder: string, wanted: 'files' | 'all'): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => wanted === 'all' || entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

interface Filling {
  /** The file that is moved last: a folder without it is not complete. */
  last: string;
  /** Everything that may be moved, the last file included. */
  names: readonly string[];
}

const fillingOf = (last: string, engine: DatabaseCopier): Filling => ({ last, names: [MANIFEST, MODELS, SNAPSHOTS, SERVED, engine.file] });

/** Whether a run was killed before the folder was complete. What it has moved by then may be removed. */
const isUnfinished = (folder: string, { last }: Filling): boolean => existsSync(join(folder, STAGING)) && !existsSync(join(folder, last));

/** @throws InputError when the folder holds anything but what an unfinished run has left */
function requireEmpty(folder: string, filling: Filling): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new InputError(`${folder} is not a folder`);
  const left = isUnfinished(folder, filling) ? [STAGING, ...filling.names] : [];
  const found = readdirSync(folder).filter((name) => !IGNORED.includes(name) && !left.includes(name));
  if (found.length > 0) throw new InputError(`${folder} is not empty: it holds ${found.slice(0, 3).join(', ')}`);
}

function lockStaging(target: string): () => void {
  try {
    return lockDataDir(join(target, STAGING));
  } catch (error) {
    throw new InputError(`${target} cannot be filled: ${messageOf(error)}`, { cause: error });
  }
}

const removeAll = (folder: string, names: readonly string[]): void => {
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true });
};

/**
 * Fills an absent or empty folder, or one that a killed run has left unfinished. Everything is made and synced in a folder inside it,
 * and moved up at the end.
 */
async function fillFolder(target: string, filling: Filling, fill: (folder: string) => Promise<void>): Promise<void> {
  requireEmpty(target, filling);
  const unlock = lockStaging(target); // fails when another process fills the folder
  const own = [STAGING];
  try {
    requireEmpty(target, filling); // another process may have completed it meanwhile
    const content = join(target, STAGING, CONTENT);
    removeAll(target, filling.names);
    rmSync(content, { recursive: true, force: true });
    mkdirSync(content);
    await fill(content);
    for (const name of namesIn(content, 'all')) syncToDisk(join(content, name));
    for (const name of readdirSync(content).filter((entry) => entry !== filling.last)) {
      renameSync(join(content, name), join(target, name));
      own.push(name);
    }
    syncToDisk(target); // a power cut must not keep the last name without the others
    renameSync(join(content, filling.last), join(target, filling.last));
    own.push(filling.last);
    removeAll(target, [STAGING]);
    syncToDisk(target);
  } catch (error) {
    removeAll(target, own.reverse()); // the last file first: without it the rest is not complete
    throw error;
  } finally {
    unlock();
  }
}

/**
 * Copies store, models, snapshots and the served log. A server may serve from the folder meanwhile.
 * @throws InputError, ArtifactError when the active model cannot be read
 */
export async function backUp(dataDir: string, target: string, engine: DatabaseCopier): Promise<BackupManifest> {
  if (!existsSync(join(dataDir, engine.file))) throw new InputError(`${dataDir} holds no database`);
  let manifest: BackupManifest | null = null;
  await fillFolder(target, fillingOf(MANIFEST, engine), async (folder) => {
    copySnapshots(join(dataDir, SNAPSHOTS), join(folder, SNAPSHOTS)); // before the database, so that no snapshot is newer than it
    copyServed(join(dataDir, SERVED), join(folder, SERVED));
    const database = engine.copy(dataDir, join(folder, engine.file));
    const models = await copyModels(database, join(folder, MODELS));
    const files = Object.fromEntries(namesIn(folder, 'files').map((name) => [name, digestOf(join(folder, name))]));
    const created = new Date().toISOString();
    manifest = { format: 'reelfuse-backup', format_version: 2, created_at: created, schema_version: database.schema_version, ...models, files };
    writeFileSync(join(folder, MANIFEST), JSON.stringify(manifest, null, 2));
  });
  if (manifest === null) throw new Error('the backup was not written');
  return manifest;
}

/** A running server may remove the source meanwhile. @returns false when it has */
function copyIfThere(from: string, to: string): boolean {
  try {
    cpSync(from, to, { recursive: true });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return false;
  }
}

/** Newest first. A snapshot that is removed while it is copied is left out: a newer one has replaced it. */
function copySnapshots(from: string, to: string): void {
  if (!existsSync(from)) return;
  const finished = readdirSync(from).filter((name) => !name.startsWith('.'));
  for (const name of finished.sort().reverse()) {
    const copy = join(to, name);
    if (!copyIfThere(join(from, name), copy) || !isWhole(copy)) rmSync(copy, { recursive: true, force: true });
  }
}

function isWhole(snapshot: string): boolean {
  const file = join(snapshot, SNAPSHOT_MANIFEST);
  const manifest = existsSync(file) ? parseSnapshotManifest(readFileSync(file, 'utf8')) : null;
  if (manifest === null) return false;
  return Object.entries(manifest.files).every(([name, { bytes }]) => statSync(join(snapshot, name), { throwIfNoEntry: false })?.size === bytes);
}

function copyServed(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(to);
  for (const name of readdirSync(from)) copyIfThere(join(from, name), join(to, name));
}

/** Every model that the store names, so that a restored server can switch to it. Only the active model must be there. */
async function copyModels({ model_dir: dir, models }: CopiedDatabase, to: string): Promise<Pick<BackupManifest, 'model' | 'models' | 'left_out'>> {
  const active = dir === null || isDemoModel(dir) ? null : await readArtifact(dir);
  const folders = new Map(models.map(({ fingerprint, folder }) => [fingerprint, folder]));
  if (active !== null) folders.set(active.fingerprint, active.folder);
  const copied: string[] = [];
  const leftOut: BackupManifest['left_out'] = [];
  for (const [fingerprint, folder] of folders) {
    try {
      const artifact = await readArtifact(folder);
      if (artifact.fingerprint !== fingerprint) throw new ArtifactError(`${folder} holds another model now: ${artifact.fingerprint}`);
      const copy = join(to, fingerprint);
      makeFolder(copy);
      for (const name of ['model.json', ...Object.keys(artifact.manifest.files)]) cpSync(realpathSync(join(artifact.folder, name)), join(copy, name));
      await readArtifact(copy); // a restored server must be able to start
      copied.push(fingerprint);
    } catch (error) {
      if (!(error instanceof ArtifactError) || fingerprint === active?.fingerprint) throw error;
      leftOut.push({ fingerprint, reason: error.message });
    }
  }
  return { model: active?.fingerprint ?? null, models: copied, left_out: leftOut };
}

/**
 * Verifies a backup and makes a self-contained data folder from it.
 * @throws InputError naming the damaged file, or what the folder holds already
 */
export async function restoreBackup(source: string, dataDir: string, engine: DatabaseCopier): Promise<BackupManifest> {
  const manifest = readManifest(source);
  const filling = fillingOf(engine.file, engine);
  requireEmpty(dataDir, filling); // before minutes of reading
  verify(source, manifest);
  const unlock = lockDataDir(dataDir); // until it is complete: no server may start on a part of it
  try {
    await fillFolder(dataDir, filling, async (folder) => {
      for (const name of Object.keys(manifest.files)) cpSync(join(source, name), join(folder, name));
      const folders = manifest.models.map((fingerprint) => ({ fingerprint, folder: join(resolve(dataDir), MODELS, fingerprint) }));
      engine.moveModels(join(folder, engine.file), folders, manifest.model);
    });
  } finally {
    unlock();
  }
  return manifest;
}

function verify(source: string, { files }: BackupManifest): void {
  for (const [name, expected] of Object.entries(files)) {
    if (name.split(/[\\/]/).includes('..') || name.startsWith('/'))
      throw new InputError(`${MANIFEST}: ${JSON.stringify(name)} is not a file of a backup`);
    const path = join(source, name);
    if (!existsSync(path)) throw new InputError(`${name} is missing from ${source}`);
    const { sha256, bytes } = digestOf(path);
    if (sha256 !== expected.sha256 || bytes !== expected.bytes)
      throw new InputError(`${name} is not what was backed up: its digest differs from the manifest`);
  }
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
