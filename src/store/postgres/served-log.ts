import { randomUUID } from 'node:crypto';
import type { ServedEntry, ServedLog } from '../served-log.js';
import type { Database } from './database.js';

const HOUR_MS = 3_600_000;
/** Entries of one statement. */
const MAX_BATCH = 500;
/** Entries that wait; more are dropped and told. */
const MAX_WAITING = 20_000;

/**
 * The log of served answers in a table that all servers share. Entries are written in the background, many at once.
 * @param onError called when entries could not be kept; their answers are given all the same
 */
export function openPostgresServedLog({ rows }: Pick<Database, 'rows'>, onError: (error: unknown) => void): ServedLog {
  const waiting: { id: string; entry: ServedEntry }[] = [];
  let writing: Promise<void> | null = null;

  const write = async (): Promise<void> => {
    await null; // the answers of one turn go together
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_BATCH);
      try {
        await rows('INSERT INTO served (recommendation_id, at, entry) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])', [
          batch.map(({ id }) => id),
          batch.map(({ entry }) => Math.trunc(entry.at)),
          batch.map(({ entry }) => JSON.stringify(entry)),
        ]);
      } catch (error) {
        onError(error);
      }
    }
    writing = null;
  };
  const flush = async (): Promise<void> => {
    while (writing !== null) await writing;
  };
  const toEntry = ({ entry }: { entry: string }): ServedEntry => JSON.parse(entry) as ServedEntry; // written by this program only

  return {
    append: (entry) => {
      const id = `rec_${randomUUID().replaceAll('-', '')}`;
      if (waiting.length >= MAX_WAITING) onError(new Error('the served log cannot keep up'));
      else {
        waiting.push({ id, entry });
        writing ??= write();
      }
      return id;
    },
    read: async (ids) => {
      await flush();
      const wanted = [...ids];
      const found = await rows<{ recommendation_id: string; entry: string }>(
        'SELECT recommendation_id, entry FROM served WHERE recommendation_id = ANY ($1)',
        [wanted],
      );
      const entries = new Map(found.map((row) => [row.recommendation_id, toEntry(row)]));
      return new Map(wanted.flatMap((id) => (entries.has(id) ? [[id, entries.get(id) as ServedEntry]] : []))); // it has
    },
    first: async (at) => {
      await flush();
      const [row] = await rows<{ entry: string }>('SELECT entry FROM served WHERE at >= $1 ORDER BY at / $2, written LIMIT 1', [
        Math.floor(at / HOUR_MS) * HOUR_MS,
        HOUR_MS,
      ]);
      return row === undefined ? null : toEntry(row);
    },
    expire: async (before) => {
      await flush();
      await rows('DELETE FROM served WHERE at < $1', [Math.floor(before / HOUR_MS) * HOUR_MS]);
    },
    close: flush,
  };
}
