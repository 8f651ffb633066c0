import { noteTransaction, proveBy, type Database, type Statements } from './database.js';
import { LOCKS } from './migrate.js';

export type ChangeKind = 'put' | 'fields' | 'delete' | 'erasure' | 'attribute';

/** A row of the table of changes. */
export interface NotedChange {
  sequence: number;
  kind: ChangeKind;
  /** item_id; user_id, or empty for old events; name of an attribute. */
  key: string;
  detail?: string;
}

/** This server of PostgreSQL hands out other transaction ids than the one before: a standby that took over, or a restored database. */
export class UnknownOriginError extends Error {
  override readonly name = 'UnknownOriginError';
}

/** Sequences that a transaction has of its own. */
const OWN = 1024;

/** The sequences of a transaction. */
export interface Sequences {
  /** Before those of `of`. */
  first: number;
  /** Of a change by its place among `count` changes. They rise; where there are too many, neighbours share one. */
  of(place: number, count: number): number;
}

export async function sequencesOf(statements: Statements): Promise<Sequences> {
  const { rows } = await statements.query<{ base: number | null; xid: string }>('SELECT change_base() AS base, pg_current_xact_id()::text AS xid');
  const first = rows[0]?.base ?? null;
  noteTransaction(statements, rows[0]?.xid ?? '');
  if (first === null) throw new UnknownOriginError('the transaction ids of the database are those of another server');
  const own = OWN - 1;
  return { first, of: (place, count) => first + 1 + (count <= own ? place : Math.floor((place * own) / count)) };
}

export async function noteChanges(statements: Statements, changes: readonly NotedChange[]): Promise<void> {
  const [one] = changes;
  if (one === undefined) return;
  proveBy(statements, 'SELECT 1 FROM changes WHERE sequence = $1 AND kind = $2 AND key = $3', [one.sequence, one.kind, one.key]);
  await statements.query('INSERT INTO changes (sequence, kind, key, detail) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])', [
    changes.map(({ sequence }) => sequence),
    changes.map(({ kind }) => kind),
    changes.map(({ key }) => key),
    changes.map(({ detail }) => detail ?? null),
  ]);
}

const KEPT = '1 day';
const TRIMMED_AT_ONCE = 10_000;

/** Removes old rows, in steps, on one server at a time. A reader that is further behind reads the tables of items instead. */
export async function trimChanges({ transaction }: Pick<Database, 'transaction'>): Promise<void> {
  for (;;) {
    const removed = await transaction(async (statements) => {
      const { rows } = await statements.query<{ locked: boolean }>('SELECT pg_try_advisory_xact_lock($1, $2) AS locked', [LOCKS.class, LOCKS.trim]);
      if (rows[0]?.locked !== true) return 0;
      const { rows: gone } = await statements.query<{ sequence: number }>(
        `DELETE FROM changes c USING (SELECT sequence, kind, key FROM changes WHERE at < now() - $1::interval ORDER BY sequence LIMIT $2) AS old
         WHERE c.sequence = old.sequence AND c.kind = old.kind AND c.key = old.key RETURNING c.sequence`,
        [KEPT, TRIMMED_AT_ONCE],
      );
      const newest = gone.reduce((max, { sequence }) => Math.max(max, sequence), 0);
      if (gone.length > 0) await statements.query('UPDATE sequence_origin SET trimmed = greatest(trimmed, $1)', [newest]);
      return gone.length;
    });
    if (removed < TRIMMED_AT_ONCE) return;
  }
}
