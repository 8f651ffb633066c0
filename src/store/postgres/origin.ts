import type { Database } from './database.js';
import { LOCKS } from './migrate.js';

/** Transactions that an asynchronous standby may lack when it takes over. Their sequences are not given out again. */
const SPARE_TRANSACTIONS = 2 ** 20;

/**
 * Makes the sequences go on above all earlier ones after another server of PostgreSQL has begun to hand out transaction ids: a standby
 * that was promoted, or a database that was restored from a dump. Does nothing where the server is known.
 */
export async function adoptOrigin({ transaction }: Pick<Database, 'transaction'>): Promise<void> {
  await transaction(async (statements) => {
    await statements.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCKS.class, LOCKS.origin]);
    await statements.query(
      `UPDATE sequence_origin o SET
         xid_offset = greatest(o.xid_offset, newest.sequence / 1024 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) + $1,
         system_identifier = s.system_identifier, timeline = wal_timeline()
       FROM pg_control_system() s, (
         SELECT greatest((SELECT max(sequence) FROM changes), (SELECT max(sequence) FROM events), (SELECT max(sequence) FROM items),
           (SELECT max(sequence) FROM tombstones), o2.trimmed, 0) AS sequence FROM sequence_origin o2
       ) newest
       WHERE o.system_identifier <> s.system_identifier OR o.timeline <> wal_timeline()`,
      [SPARE_TRANSACTIONS],
    );
  });
}

/** Names the database and the origin of its sequences, as a file name. */
export async function identityOf({ rows }: Pick<Database, 'rows'>): Promise<string> {
  const [found] = await rows<{ identity: string }>(
    `SELECT concat_ws('-', o.system_identifier, d.oid, o.xid_offset) AS identity FROM sequence_origin o, pg_database d WHERE d.datname = current_database()`,
  );
  return found?.identity ?? 'unknown';
}
