import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedEntry, ServedLog } from '../served-log.js';
import type { Database } from './database.js';

const HOUR_MS = 3_600_000;
/** Time for which entries are gathered, ms: a transaction for each answer would cost more than the answer. */
const GATHER_MS = 100;
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
  let hurry = (): void => undefined;

  const write = async (): Promise<void> => {
    await Promise.race([sleep(GATHER_MS), new Promise<void>((resolve) => (hurry = resolve))]);
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_BATCH);
      try {
        // JSON holds neither tabs nor line breaks: one text is cheaper to send than arrays, whose entries are quoted one by one
        await rows(
          `INSERT INTO served (recommendation_id, at, entry)
           SELECT split_part(line, E'\\t', 1), split_part(line, E'\\t', 2)::bigint, split_part(line, E'\\t', 3) FROM string_to_table($1, E'\\n') AS line`,
          [batch.map(({ id, entry }) => `${id}\t${Math.trunc(entry.at)}\t${JSON.stringify(entry)}`).join('\n')],
        );
      } catch (error) {
        onError(error);
      }
    }
    writing = null;
  };
  const flush = async (): Promise<void> => {
    while (writing !== null) {
      hurry();
      await writing;
    }
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
