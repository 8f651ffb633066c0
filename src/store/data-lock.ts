import Database from 'better-sqlite3';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { InputError, isUnloadable, messageOf } from '../errors.js';
import { makeFolder } from '../files.js';

/** An empty database. SQLite locks it by the operating system: the lock ends with the process and holds across containers. */
const LOCK = 'lock.sqlite';
/** Names the process that holds the lock, for the error message. */
const HOLDER = 'reelfuse.lock';

/** Files that a lock leaves in an empty folder. */
export const LOCK_FILES: readonly string[] = [LOCK, HOLDER];

/** Whether a process has ever locked the folder: only then can one hold it now. */
export const wasLocked = (dataDir: string): boolean => existsSync(join(dataDir, LOCK));

/**
 * Locks a data folder for this process, because a second process would not see its writes. The lock ends with the process.
 * @returns a function that releases the lock
 * @throws InputError naming the process that holds the lock, or why the folder cannot be used
 */
export function lockDataDir(dataDir: string): () => void {
  const holder = join(dataDir, HOLDER);
  let database: Database.Database | null = null;
  try {
    makeFolder(dataDir);
    database = new Database(join(dataDir, LOCK), { timeout: 0 });
    database.pragma('journal_mode = MEMORY'); // makes no other file
    database.exec('BEGIN EXCLUSIVE'); // never committed
  } catch (error) {
    database?.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY')
      throw new InputError(`${dataDir} is in use by process ${readHolder(holder)}; stop it first, or choose another REELFUSE_DATA_DIR`);
    if (isUnloadable(error)) throw error; // SQLite itself did not load
    throw new InputError(`${dataDir} cannot be used as REELFUSE_DATA_DIR: ${messageOf(error)}`, { cause: error });
  }
  const locked = database;
  try {
    writeFileSync(holder, `${process.pid} on ${hostname()}`);
  } catch {
    // the disk is full: the lock holds without the file, and items can be read
  }
  return () => void locked.close();
}

function readHolder(file: string): string {
  try {
    return readFileSync(file, 'utf8') || 'unknown';
  } catch {
    return 'unknown'; // the other process has not written it yet
  }
}
