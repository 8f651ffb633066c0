import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../errors.js';
import type { Database, Statements } from './database.js';

/** Keys of advisory locks of this program, all in one class. */
export const LOCKS = { class: 7_335_611, migrate: 1, attributes: 2, partitions: 3, trim: 4, origin: 5 } as const;

function migrationsIn(folder: string): string[] {
  const files = readdirSync(folder)
    .filter((name) => /^\d{3}-[a-z0-9-]+\.sql$/.test(name))
    .sort();
  files.forEach((name, index) => {
    if (Number(name.slice(0, 3)) !== index + 1) throw new InputError(`migrations: ${name} is out of order`);
  });
  return files;
}

/** The schema version that this program knows. */
export const newestVersion = (folder: string): number => migrationsIn(folder).length;

export function refuseNewer(version: number, known: number): void {
  if (version > known)
    throw new InputError(`the database has schema version ${version}, this program knows ${known}: it was written by a newer version`);
}

/**
 * Applies the migrations that the database lacks, all in one transaction and one server at a time.
 * @throws InputError when the database was written by a newer version, or is older than PostgreSQL 15, or the folder skips a number
 */
export async function migrate(database: Database, folder: string): Promise<void> {
  const files = migrationsIn(folder);
  await database.transaction(async (statements) => {
    await refuseUnfit(statements);
    await statements.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCKS.class, LOCKS.migrate]);
    await statements.query('CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)');
    const { rows } = await statements.query<{ version: number }>('SELECT version FROM schema_version');
    const version = rows[0]?.version ?? 0;
    refuseNewer(version, files.length);
    if (version === files.length) return;
    for (const name of files.slice(version)) await statements.query(readFileSync(join(folder, name), 'utf8'));
    await statements.query('DELETE FROM schema_version');
    await statements.query('INSERT INTO schema_version VALUES ($1)', [files.length]);
  });
}

const OLDEST_SERVER = 150_000;

export async function refuseUnfit(statements: Statements): Promise<void> {
  const { rows } = await statements.query<{ number: string; version: string; encoding: string }>(
    `SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version, current_setting('server_encoding') AS encoding`,
  );
  const [server] = rows;
  if (server === undefined || Number(server.number) < OLDEST_SERVER)
    throw new InputError(`the database is PostgreSQL ${server?.version ?? 'of an unknown version'}; 15 or newer is needed`);
  if (server.encoding !== 'UTF8') throw new InputError(`the database is encoded in ${server.encoding}; create one with ENCODING 'UTF8'`);
}
