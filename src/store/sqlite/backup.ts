import Database from 'better-sqlite3';
import { join } from 'node:path';
import { DATABASE_FILE } from './database.js';

/** A consistent copy of the database, taken while another process may be writing to it. @returns its newest change and schema version */
export function copyDatabase(dataDir: string, target: string): { schema_version: number; model_dir: string | null } {
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
    return { schema_version: copy.pragma('user_version', { simple: true }) as number, model_dir: model ?? null };
  } finally {
    copy.close();
  }
}

/** Lets a restored database name the folder where its model now is. */
export function moveModel(file: string, fingerprint: string, folder: string): void {
  const database = new Database(file, { fileMustExist: true });
  try {
    database.transaction(() => {
      database.prepare(`INSERT OR REPLACE INTO meta (key, value) VALUES ('model_dir', ?)`).run(folder);
      database.prepare('UPDATE models SET folder = ? WHERE fingerprint = ?').run(folder, fingerprint);
    })();
  } finally {
    database.close();
  }
}
