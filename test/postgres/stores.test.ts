import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { openPostgresStores } from '../../src/store/postgres/postgres-stores.js';
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
}
