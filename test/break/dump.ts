import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { DATABASE_FILE } from '../../src/store/sqlite/database.js';

/** What a data folder holds, without what differs between two runs of the same work: sequences, times of writing and the secret of cursors. */
export interface Dump {
  items: unknown[];
  events: unknown[];
  models: unknown[];
  vectors: number;
}

/** @throws when the database is damaged, or is none */
export function dumpOf(dataDir: string): Dump {
  const database = new Database(join(dataDir, DATABASE_FILE), { fileMustExist: true, readonly: true });
  try {
    const damage = database.pragma('integrity_check(1)', { simple: true }) as string;
    if (damage !== 'ok') throw new Error(`the database is damaged: ${damage}`);
    const rows = (sql: string): unknown[] => database.prepare<[], unknown>(sql).raw().all();
    const digest = (bytes: unknown): string =>
      createHash('sha256')
        .update(bytes as Buffer)
        .digest('hex')
        .slice(0, 16);
    const items = rows(
      `SELECT i.item_id, title, author_id, attributes, available_from, expires_at, hidden, h.dtype, h.layers, h.width, h.data
       FROM items i LEFT JOIN hidden_states h USING (item_id) ORDER BY i.item_id`,
    ) as unknown[][];
    return {
      items: items.map((item) => item.map((cell) => (Buffer.isBuffer(cell) ? digest(cell) : cell))),
      events: rows(
        `SELECT event_id, user_id, item_id, type, watch_ms, duration_ms, positive, iif(event_id LIKE 'import%', 0, at) FROM events ORDER BY event_id`,
      ),
      models: rows('SELECT fingerprint FROM models ORDER BY fingerprint'),
      vectors: Number((rows('SELECT count(*) FROM vectors')[0] as [number])[0]),
    };
  } finally {
    database.close();
  }
}
