import type Database from 'better-sqlite3';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { DamagedError } from '../../storage-faults.js';
import type { DamagedRow } from '../store-check.js';
import { DATABASE_FILE, openDatabase } from './database.js';
import { prepareRowChecks } from './row-checks.js';

export interface InspectedDatabase {
  schemaVersion: number;
  items: number;
  events: number;
  meta: ReadonlyMap<string, string>;
  /** Rows whose content is not what was written. */
  damaged: readonly DamagedRow[];
}

/**
 * Checks a database for the doctor without changing it; a server may write to it meanwhile. Reads the whole file.
 * @param migrations folder of the migrations, whose number is the newest known schema version
 * @throws InputError when the database is newer than this program, DamagedError or SQLite's error when it is damaged
 */
export function inspectDatabase(dataDir: string, migrations: string): InspectedDatabase {
  const database = openDatabase(join(dataDir, DATABASE_FILE), { readonly: true });
  try {
    const schemaVersion = database.pragma('user_version', { simple: true }) as number;
    const known = readdirSync(migrations).filter((name) => name.endsWith('.sql')).length;
    if (schemaVersion > known)
      throw new InputError(`the database has schema version ${schemaVersion}, this program knows ${known}: it was written by a newer version`);
    const problem = database.pragma('quick_check(1)', { simple: true }) as string;
    if (problem !== 'ok') throw new DamagedError(problem);
    const count = (table: 'items' | 'events'): number => database.prepare<[], number>(`SELECT COUNT(*) FROM ${table}`).pluck().get() ?? 0;
    const rows = database.prepare<[], [string, string]>('SELECT key, value FROM meta').raw().all();
    const damaged = schemaVersion < known ? [] : damagedRows(database); // the start adds what the checks need
    return { schemaVersion, items: count('items'), events: count('events'), meta: new Map(rows), damaged };
  } finally {
    database.close();
  }
}

function damagedRows(database: Database.Database): DamagedRow[] {
  const checks = prepareRowChecks(database);
  const damaged: DamagedRow[] = [];
  for (let position: string | null = null; ;) {
    const checked = checks.next(position);
    damaged.push(...checked.damaged);
    if (checked.unreadable !== null) throw new DamagedError(checked.unreadable);
    if (checked.position === null) return damaged;
    position = checked.position;
  }
}
