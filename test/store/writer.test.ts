import assert from 'node:assert/strict';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { packageFile } from '../../src/package-root.js';
import { migrate } from '../../src/store/sqlite/migrate.js';
import { createWriter } from '../../src/store/sqlite/writer.js';

test('no write goes through all events: whatever it looks for, an index finds', () => {
  const database = new Database(':memory:');
  migrate(database, packageFile('migrations', 'sqlite'));
  const statements: string[] = [];
  const prepare = database.prepare.bind(database) as (sql: string) => Database.Statement;
  database.prepare = ((sql: string) => {
    statements.push(sql);
    return prepare(sql);
  }) as never; // the same function, listened to
  createWriter(database);
  const plans = statements
    .map((sql) => sql.replaceAll(/@\w+|\?/g, '1')) // a plan is made without the values
    .flatMap((sql) => prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[])
    .map(({ detail }) => detail);
  assert.ok(plans.some((detail) => /^SEARCH events USING INDEX .*user_id=\?/.test(detail)));
  assert.deepEqual(
    plans.filter((detail) => /^SCAN events/.test(detail)),
    [],
  );
});
