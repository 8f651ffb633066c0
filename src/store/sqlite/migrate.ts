import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { InputError } from '../../errors.js';

/**
 * Applies the migrations that the database lacks, each in one transaction.
 * @throws InputError when the database was written by a newer version, or the folder skips a number
 */
export function migrate(database: Database.Database, folder: string): void {
  const files = readdirSync(folder)
    .filter((name) => /^\d{3}-[a-z0-9-]+\.sql$/.test(name))
    .sort();
  files.forEach((name, index) => {
    if (Number(name.slice(0, 3)) !== index + 1) throw new InputError(`migrations: ${name} is out of order`);
  });
  const version = database.pragma('user_version', { simple: true }) as number;
  if (version > files.length) {
    throw new InputError(`the database has schema version ${version}, this program knows ${files.length}: it was written by a newer version`);
  }
  files.slice(version).forEach((name, index) => {
    database.transaction(() => {
      database.exec(readFileSync(join(folder, name), 'utf8'));
      database.pragma(`user_version = ${version + index + 1}`);
    })();
  });
}
