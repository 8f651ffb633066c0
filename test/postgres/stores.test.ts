import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { openPostgresStores } from '../../src/store/postgres/postgres-stores.js';
import { openDatabase } from '../../src/store/postgres/database.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { openPostgresServedLog } from '../../src/store/postgres/served-log.js';
import { packageFile } from '../../src/package-root.js';
import { servedLogConformance } from '../store/conformance/served-log.js';
import { SUITES } from '../store/conformance/suites.js';
import { postgresPrograms, startPostgres } from './server.js';

if (postgresPrograms() === null && process.env.REQUIRE_POSTGRES !== '1')
  test('PostgreSQL', { skip: 'it is not installed: apt-get install postgresql' });
else {
  const server = await startPostgres(['fsync = off']);
  after(() => server.remove());
  for (const suite of Object.values(SUITES))
    suite({
      name: 'PostgreSQL',
      create: async () => {
        const url = await server.createDatabase();
        return () => openPostgresStores({ url, metrics: createMetrics(), onTrouble: (error) => assert.equal(error, null) });
      },
    });
  servedLogConformance({
    name: 'PostgreSQL',
    create: async (t) => {
      const database = openDatabase({ url: await server.createDatabase() });
      t.after(database.close);
      await migrate(database, packageFile('migrations', 'postgres'));
      return () => openPostgresServedLog(database, (error) => assert.fail(error as Error));
    },
  });
}
