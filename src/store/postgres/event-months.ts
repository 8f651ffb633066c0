import type { Database } from './database.js';
import { LOCKS } from './migrate.js';

/** Months of which events have tables of their own; other times are hardly real. */
const FIRST_YEAR = 2000;
const LAST_YEAR = 2100;

const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7);
const tableOf = (month: string): string => `events_${month.replace('-', '_')}`;
const startOf = (month: string): number => Date.parse(`${month}-01T00:00:00Z`);
const isKept = (at: number): boolean => at >= Date.UTC(FIRST_YEAR, 0) && at < Date.UTC(LAST_YEAR, 0);

/** Events are partitioned by month, so that retention can drop whole tables. */
export interface EventMonths {
  /** Makes the tables of these times where they are missing. */
  prepare(times: readonly number[]): Promise<void>;
  /** Drops the tables of months that ended before this time and are empty. */
  dropEmpty(before: number): Promise<void>;
}

export function createEventMonths(database: Pick<Database, 'rows' | 'transaction'>): EventMonths {
  const known = new Set<string>();
  return {
    prepare: async (times) => {
      const missing = new Set(
        times
          .filter(isKept)
          .map(monthOf)
          .filter((month) => !known.has(month)),
      );
      for (const month of missing) {
        const next = new Date(startOf(month));
        next.setUTCMonth(next.getUTCMonth() + 1);
        await database.transaction(async (statements) => {
          await statements.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCKS.class, LOCKS.partitions]);
          await statements.query(
            `CREATE TABLE IF NOT EXISTS ${tableOf(month)} PARTITION OF events FOR VALUES FROM (${startOf(month)}) TO (${next.getTime()})`,
          );
        });
        known.add(month);
      }
    },
    dropEmpty: async (before) => {
      const tables = await database.rows<{ name: string }>(
        `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass`,
      );
      for (const { name } of tables) {
        const month = /^events_(\d{4})_(\d{2})$/.exec(name);
        if (month === null) continue;
        const end = Date.UTC(Number(month[1]), Number(month[2]));
        if (end > before) continue;
        const dropped = await database.transaction(async (statements) => {
          await statements.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCKS.class, LOCKS.partitions]);
          await statements.query(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`);
          const { rowCount } = await statements.query(`SELECT 1 FROM ${name} LIMIT 1`);
          if (rowCount !== 0) return false;
          await statements.query(`DROP TABLE ${name}`);
          return true;
        });
        if (dropped) known.delete(`${month[1]}-${month[2]}`);
      }
    },
  };
}
