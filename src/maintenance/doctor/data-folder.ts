import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync, rmdirSync, statSync, statfsSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { messageOf } from '../../errors.js';
import { makeFolder } from '../../files.js';
import { failed, ok, warning, type Check } from './check.js';
import { userName } from './user-name.js';

const NAME = 'data folder';
const MIB = 1024 * 1024;
/** A write-ahead log and a snapshot need room beside the database. */
const LOW_BYTES = 1024 * MIB;
const NO_BYTES = 64 * MIB;

const nearestFolder = (path: string): string => (existsSync(path) ? path : nearestFolder(dirname(path)));

/** Checks that the folder can be written to, or made. No file or folder remains. */
export function checkDataFolder(dataDir: string): Check {
  const folder = resolve(dataDir);
  const standing = nearestFolder(folder);
  if (!statSync(standing).isDirectory())
    return failed(NAME, `${standing} is not a folder`, 'set REELFUSE_DATA_DIR to a folder, or to one that can be made');
  const isThere = standing === folder;
  let made: string | undefined;
  try {
    made = makeFolder(folder);
    writeProbe(folder);
  } catch (error) {
    if (isThere && isFull(error)) return ok(NAME, `${folder}, full`); // what is there can be served; the check of the disk says so
    const detail = `${folder} cannot be ${isThere ? 'written to' : 'made'}: ${messageOf(error).replace(/, \w+( '.*')?$/, '')}`; // without the call and the name of the probe
    if (isFull(error)) return failed(NAME, detail, 'make room on its file system');
    if ((error as NodeJS.ErrnoException).code === 'EROFS')
      return failed(NAME, detail, 'mount it writable, or set REELFUSE_DATA_DIR to a folder that is writable');
    return failed(NAME, detail, `give ${isThere ? 'it' : standing} to ${userName()}, or set REELFUSE_DATA_DIR to a folder that is theirs`);
  } finally {
    if (made !== undefined) removeEmpty(folder, made);
  }
  return ok(NAME, isThere ? `${folder}, writable` : `${folder} is not there yet, and can be made`);
}

const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Removes the made folders, innermost first. A folder that another process uses by now stays. */
function removeEmpty(folder: string, outermost: string): void {
  try {
    for (let path = folder; path.startsWith(outermost); path = dirname(path)) rmdirSync(path);
  } catch {
    // it is theirs
  }
}

/** Checks that the folder can be synced: acknowledged writes must be on the disk. */
function writeProbe(folder: string): void {
  const file = join(folder, `.doctor-${process.pid}`);
  const descriptor = openSync(file, 'w');
  try {
    writeSync(descriptor, 'x');
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
    rmSync(file, { force: true });
  }
}

/** Checks the free space of its file system. */
export function checkDiskSpace(dataDir: string): Check {
  const name = 'disk space';
  const { bavail, bsize } = statfsSync(nearestFolder(resolve(dataDir)));
  const free = bavail * bsize;
  const used = usedBy(dataDir);
  const detail = `${size(free)} free, the data folder has ${size(used)}`;
  if (free < NO_BYTES) return failed(name, detail, 'make room: writes would soon be refused by 507 storage_full');
  if (free < Math.max(LOW_BYTES, used)) return warning(name, detail, 'make room: a snapshot or a VACUUM may need as much as is there');
  return ok(name, detail);
}

/** Bytes of the files in the folder; unreadable files are not counted. */
function usedBy(folder: string): number {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .reduce((sum, { parentPath, name }) => sum + (statSync(join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  } catch {
    return 0;
  }
}

const size = (bytes: number): string => (bytes >= 1024 * MIB ? `${(bytes / 1024 / MIB).toFixed(1)} GiB` : `${(bytes / MIB).toFixed(1)} MiB`);
