import Database from 'better-sqlite3';
import { join } from 'node:path';
import { InputError, messageOf } from '../../errors.js';
import type { CopiedDatabase, ModelFolder } from '../database-copier.js';
import { DATABASE_FILE } from './database.js';
import { openProblem } from './open-problem.js';

/** Codes of SQLite for damaged pages, another kind of file, and missing tables. */
const DAMAGED = /^SQLITE_(CORRUPT|NOTADB|ERROR)/;

/**
 * Implements `copy` of DatabaseCopier. The copy is one file with everything acknowledged before the call. A server or another process
 * may write meanwhile. It takes no lock of the data folder and needs free space for the whole database.
 * @param target must not exist
 * @throws InputError when the database is damaged
 * @throws when there is no database, or the copy cannot be written; the caller must then remove the incomplete file
 */
export function copyDatabase(dataDir: string, target: string): CopiedDatabase {
  try {
    return copy(dataDir, target);
  } catch (error) {
    if (!DAMAGED.test((error as { code?: string }).code ?? '')) throw error;
    const file = join(dataDir, DATABASE_FILE);
    throw openProblem(error, file) ?? new InputError(`${file} is damaged: ${messageOf(error)}; an earlier backup can be restored`, { cause: error });
  }
}

function copy(dataDir: string, target: string): CopiedDatabase {
  const source = new Database(join(dataDir, DATABASE_FILE), { readonly: true, fileMustExist: true });
  try {
    source.pragma('busy_timeout = 5000');
    source.prepare('VACUUM INTO ?').run(target); // one read transaction: writes go on, and the copy does not contain them
  } finally {
    source.close();
  }
  const copied = new Database(target);
  try {
    const model = copied.prepare<[], string>(`SELECT value FROM meta WHERE key = 'model_dir'`).pluck().get();
    const models = copied.prepare<[], ModelFolder>('SELECT fingerprint, folder FROM models ORDER BY registered_at').all();
    return { schema_version: copied.pragma('user_version', { simple: true }) as number, model_dir: model ?? null, models };
  } finally {
    copied.close();
  }
}

/**
 * Implements `moveModels` of DatabaseCopier, for a restore. No process may have the database open.
 * @param active fingerprint of the active model; null: unchanged
 */
export function moveModels(file: string, models: readonly ModelFolder[], active: string | null): void {
  const database = new Database(file, { fileMustExist: true });
  try {
    database.transaction(() => {
      for (const { fingerprint, folder } of models) {
        database.prepare('UPDATE models SET folder = ? WHERE fingerprint = ?').run(folder, fingerprint);
        if (fingerprint === active) database.prepare(`INSERT OR REPLACE INTO meta (key, value) VALUES ('model_dir', ?)`).run(folder);
      }
    })();
  } finally {
    database.close();
  }
}
