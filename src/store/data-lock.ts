import Database from 'better-sqlite3';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { InputError, isUnloadable, messageOf } from '../errors.js';

/** Holds nothing: the operating system's lock on it is what counts, which ends with the process and is the same for all containers. */
const LOCK = 'lock.sqlite';
/** Says who holds it, for the message. */
const HOLDER = 'reelfuse.lock';

/** What a lock leaves in a folder that is otherwise empty. */
export const LOCK_FILES: readonly string[] = [LOCK, HOLDER];

/**
 * One process owns a data folder: a second one would not see its writes. However a process ends, its lock ends too.
 * @returns a function that gives the folder back
 * @throws InputError naming the process that holds it, or why the folder cannot be used
 */
export function lockDataDir(dataDir: string): () => void {
  const holder = join(dataDir, HOLDER);
  let database: Database.Database | null = null;
  try {
    mkdirSync(dataDir, { recursive: true });
    database = new Database(join(dataDir, LOCK), { timeout: 0 });
    database.pragma('journal_mode = MEMORY'); // no other file beside it
    database.exec('BEGIN EXCLUSIVE'); // never committed
  } catch (error) {
    database?.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY')
      throw new InputError(`${dataDir} is in use by process ${readHolder(holder)}; stop it first, or choose another REELFUSE_DATA_DIR`);
    if (isUnloadable(error)) throw error; // the folder has nothing to do with it
    throw new InputError(`${dataDir} cannot be used as REELFUSE_DATA_DIR: ${messageOf(error)}`, { cause: error });
  }
  const locked = database;
  try {
    writeFileSync(holder, `${process.pid} on ${hostname()}`);
  } catch {
    // the disk is full: the folder is ours all the same, and its items can be read
  }
  return () => void locked.close();
}

function readHolder(file: string): string {
  try {
    return readFileSync(file, 'utf8') || 'unknown';
  } catch {
    return 'unknown'; // it is about to write it
  }
}
