import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { LOCK_FILES } from '../../store/data-lock.js';
import { MANIFEST, STAGING } from '../backup.js';
import { failed, ok, skipped, warning, type Check } from './check.js';
import { userName } from './user-name.js';

const NAME = 'data files';
const { R_OK, W_OK, X_OK } = constants;
/** Folders that only a server with a database makes. */
const SNAPSHOTS = 'snapshots';
const SERVED = 'served';

/** A path that a start uses, and the access that it needs. */
interface Needed {
  path: string;
  mode: number;
}

/**
 * Checks that the database, its lock, snapshots and the served log can be used by this process.
 * @param database name of the database file
 */
export function checkFileAccess(dataDir: string, database: string): Check {
  const folder = resolve(dataDir);
  if (!existsSync(folder)) return ok(NAME, 'none yet');
  if (!isUsable({ path: folder, mode: R_OK | X_OK })) return skipped(NAME, 'data folder');
  if (existsSync(join(folder, MANIFEST)))
    return failed(
      NAME,
      `${folder} is a backup: a server would change what it holds`,
      `restore it: REELFUSE_DATA_DIR=… reelfuse restore --from ${folder}`,
    );
  const needed = neededIn(folder, database);
  const blocked = needed.filter((file) => !isUsable(file)).map(({ path }) => path);
  const [first] = blocked;
  if (first !== undefined) return refused(folder, first, blocked.length - 1);
  return foreignFile(folder, needed) ?? ok(NAME, `${needed.length} files and folders, all usable by ${userName()}`);
}

/**
 * As `checkFileAccess`, and checks that the folder is whole. A server would begin an empty catalogue in a folder that a restore has not
 * completed, or that has lost its database. No other process may have the folder: a restore may be under way.
 */
export function checkDataFiles(dataDir: string, database: string): Check {
  const access = checkFileAccess(dataDir, database);
  return access.status === 'failed' ? access : (partialRestore(resolve(dataDir), database) ?? access);
}

function neededIn(folder: string, database: string): Needed[] {
  const files = [database, `${database}-wal`, `${database}-shm`, ...LOCK_FILES].map((name) => join(folder, name));
  return [
    ...files.filter((path) => existsSync(path)).map((path) => ({ path, mode: R_OK | W_OK })),
    ...treeOf(join(folder, SNAPSHOTS), R_OK),
    ...treeOf(join(folder, SERVED), R_OK | W_OK),
  ];
}

/** A folder with everything in it. Old snapshots and hours are removed, so the folders themselves must be writable. */
function treeOf(folder: string, ofFiles: number): Needed[] {
  if (!existsSync(folder)) return [];
  const own = { path: folder, mode: R_OK | W_OK | X_OK };
  if (!isUsable(own)) return [own];
  const entries = readdirSync(folder, { withFileTypes: true }).map((entry) => ({ path: join(folder, entry.name), isFolder: entry.isDirectory() }));
  return [own, ...entries.flatMap(({ path, isFolder }) => (isFolder ? treeOf(path, ofFiles) : [{ path, mode: ofFiles }]))];
}

function isUsable({ path, mode }: Needed): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'; // a server has removed it meanwhile
  }
}

function refused(folder: string, path: string, others: number): Check {
  const { uid, mode } = statSync(path);
  const more = others === 0 ? '' : ` (and ${others} more)`;
  const detail = `${path}${more} belongs to user ${uid} with mode ${(mode & 0o777).toString(8)} and cannot be read and written by ${userName()}`;
  const owner = process.getuid?.() ?? uid;
  return failed(NAME, detail, uid === owner ? `chmod -R u+rwX ${folder}, or mount it writable` : `chown -R ${owner} ${folder}`);
}

/** Null: the folder is whole, or new. */
function partialRestore(folder: string, database: string): Check | null {
  const isFilled = (name: string): boolean => (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0) > 0;
  if (isFilled(database) || isFilled(`${database}-wal`)) return null;
  if (existsSync(join(folder, STAGING)))
    return failed(NAME, `${folder} holds a restore that was not completed`, 'empty the folder and run reelfuse restore again');
  const left = [SNAPSHOTS, SERVED].filter((name) => existsSync(join(folder, name)));
  if (left.length === 0) return null;
  const detail = `${join(folder, database)} is missing or empty, but ${left.join(' and ')} of an earlier server ${left.length === 1 && left[0] !== SNAPSHOTS ? 'is' : 'are'} there`;
  return failed(NAME, detail, 'reelfuse restore --from the newest backup into an empty folder; to begin anew, empty this one');
}

/** Root may use every file, but the owner of the folder may not. Null: all belong to one user, or this process is not root. */
function foreignFile(folder: string, needed: readonly Needed[]): Check | null {
  if (process.getuid?.() !== 0) return null;
  const owner = statSync(folder).uid;
  const ownerOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.uid ?? owner;
  const foreign = needed.find(({ path }) => ownerOf(path) !== owner);
  if (foreign === undefined) return null;
  const detail = `${foreign.path} belongs to user ${ownerOf(foreign.path)}, its folder to user ${owner}`;
  return warning(NAME, detail, `chown -R ${owner} ${folder}, unless the server runs as root`);
}
