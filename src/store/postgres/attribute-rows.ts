import type { KnownAttribute } from '../../domain/attribute-registry.js';
import type { AttributeType } from '../../domain/attributes.js';
import type { Statements } from './database.js';
import { LOCKS } from './migrate.js';

interface AttributeRow {
  name: string;
  declared_type: AttributeType | null;
  types: string;
  declared_at: number | null;
  first_seen_at: number | null;
}

export const ATTRIBUTES = 'SELECT name, declared_type, types, declared_at, first_seen_at FROM attributes';

export const toKnown = (row: AttributeRow): KnownAttribute => ({
  name: row.name,
  declared: row.declared_type,
  types: JSON.parse(row.types) as AttributeType[], // written by this program only
  declared_at: row.declared_at,
  first_seen_at: row.first_seen_at,
});

/** Until the end of the transaction. `shared`: items are written that change nothing in it. */
export async function lockRegistry(statements: Statements, how: 'shared' | 'alone'): Promise<void> {
  await statements.query(`SELECT pg_advisory_xact_lock${how === 'shared' ? '_shared' : ''}($1, $2)`, [LOCKS.class, LOCKS.attributes]);
}

/** @param names null: all */
export async function readRegistry(statements: Statements, names: readonly string[] | null): Promise<KnownAttribute[]> {
  const { rows } = await statements.query<AttributeRow>(`${ATTRIBUTES} WHERE $1::text[] IS NULL OR name = ANY ($1)`, [names]);
  return rows.map(toKnown);
}

export async function putAttributes(statements: Statements, attributes: readonly KnownAttribute[]): Promise<void> {
  if (attributes.length === 0) return;
  await statements.query(
    `INSERT INTO attributes (name, declared_type, types, declared_at, first_seen_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
     ON CONFLICT (name) DO UPDATE SET declared_type = excluded.declared_type, types = excluded.types, declared_at = excluded.declared_at,
       first_seen_at = excluded.first_seen_at`,
    [
      attributes.map(({ name }) => name),
      attributes.map(({ declared }) => declared),
      attributes.map(({ types }) => JSON.stringify(types)),
      attributes.map(({ declared_at: at }) => at),
      attributes.map(({ first_seen_at: at }) => at),
    ],
  );
}
