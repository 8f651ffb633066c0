import Database from 'better-sqlite3';
import { join } from 'node:path';
import type { CopiedDatabase, ModelFolder } from '../database-copier.js';
import { DATABASE_FILE } from './database.js';

/** A consistent copy of the database, taken while another process may be writing to it. */
export function copyDatabase(dataDir: string, target: string): CopiedDatabase {
  const source = new Database(join(dataDir, DATABASE_FILE), { readonly: true, fileMustExist: true });
  try {
    source.pragma('busy_timeout = 5000');
    source.prepare('VACUUM INTO ?').run(target); // one read transaction: writers go on, the copy does not see them
  } finally {
    source.close();
  }
  const copy = new Database(target);
  try {
    const model = copy.prepare<[], string>(`SELECT value FROM meta WHERE key = 'model_dir'`).pluck().get();
    const models = copy.prepare<[], ModelFolder>('SELECT fingerprint, folder FROM models ORDER BY registered_at').all();
    return { schema_version: copy.pragma('user_version', { simple: true }) as number, model_dir: model ?? null, models };
  } finally {
    copy.close();
  }
}

/** Lets a restored database name the folders where its models now are. @param active the one that serves; null: as it was */
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
