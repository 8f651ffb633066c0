import type Database from 'better-sqlite3';
import type { KnownAttribute } from '../../domain/attribute-registry.js';
import type { AttributeType } from '../../domain/attributes.js';

type AttributeRow = [name: string, declared: AttributeType | null, types: string, declaredAt: number | null, firstSeenAt: number | null];

/** @returns a function that reads the registry, in the order of the names' UTF-8 bytes */
export function prepareAttributeList(database: Database.Database): () => KnownAttribute[] {
  const rows = database
    .prepare<[], AttributeRow>('SELECT name, declared_type, types, declared_at, first_seen_at FROM attributes ORDER BY name')
    .raw();
  return () =>
    rows.all().map(([name, declared, types, declaredAt, firstSeenAt]) => ({
      name,
      declared,
      types: JSON.parse(types) as AttributeType[], // written by this program only
      declared_at: declaredAt,
      first_seen_at: firstSeenAt,
    }));
}
