import { openDatabase } from './database.js';
import { newestVersion, refuseNewer, refuseUnfit } from './migrate.js';

export interface InspectedSharedDatabase {
  /** 0: no server has started on it. */
  schemaVersion: number;
  items: number;
  events: number;
  meta: ReadonlyMap<string, string>;
  damaged: readonly { table: string; key: string }[];
}

/** Looks at a database without changing it. @throws InputError when it is not fit, ReelfuseError 503 `database_unavailable` */
export async function inspectShared(url: string, migrations: string): Promise<InspectedSharedDatabase> {
  const database = openDatabase({ url, maxConnections: 1 });
  try {
    return await database.transaction(async (statements) => {
      await refuseUnfit(statements);
      const known = await statements.query<{ found: string | null }>(`SELECT to_regclass('schema_version') AS found`);
      if (known.rows[0]?.found == null) return { schemaVersion: 0, items: 0, events: 0, meta: new Map(), damaged: [] };
      const { rows } = await statements.query<{ version: number }>('SELECT version FROM schema_version');
      const schemaVersion = rows[0]?.version ?? 0;
      refuseNewer(schemaVersion, newestVersion(migrations));
      const counts = await statements.query<{ items: number; events: number }>(
        'SELECT (SELECT count(*) FROM items) AS items, (SELECT count(*) FROM event_ids) AS events',
      );
      const settings = await statements.query<{ key: string; value: string }>('SELECT key, value FROM settings');
      return {
        schemaVersion,
        items: counts.rows[0]?.items ?? 0,
        events: counts.rows[0]?.events ?? 0,
        meta: new Map(settings.rows.map(({ key, value }) => [key, value])),
        damaged: [],
      };
    });
  } finally {
    await database.close();
  }
}
