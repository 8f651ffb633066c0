import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { createMetrics } from '../../src/metrics.js';
import { packageFile } from '../../src/package-root.js';
import { lockDataDir } from '../../src/store/data-lock.js';
import { copyDatabase, moveModels } from '../../src/store/sqlite/backup.js';
import type { WriteOperation } from '../../src/store/sqlite/write-operations.js';
import { createWriter } from '../../src/store/sqlite/writer.js';
import { DATABASE_FILE } from '../../src/store/sqlite/database.js';
import { migrate } from '../../src/store/sqlite/migrate.js';
import { inspectDatabase } from '../../src/store/sqlite/inspect.js';
import { temporaryFolder } from '../temporary-folder.js';
import { event, item } from './conformance/stores.js';
import { sqliteOf } from './sqlite-engine.js';

const MIGRATIONS = readdirSync(packageFile('migrations', 'sqlite')).length;

test('a write that cannot be stored fails alone, not with its group', async (t) => {
  const { items, events, close } = sqliteOf(t).open();
  const broken = { ...event('bad', 'u', 'a', 1), user_id: null as unknown as string };
  const results = await Promise.allSettled([items.put(item('a')), events.append([event('ok', 'u', 'a', 1), broken]), items.put(item('b'))]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(await items.count(), 2);
  assert.deepEqual(await events.history('u', 10), []);
  await close();
});

test('writes that arrive during a commit go into the next one together', async (t) => {
  const metrics = createMetrics();
  const { items, close } = sqliteOf(t, { metrics }).open();
  await Promise.all(Array.from({ length: 100 }, (_, n) => items.put(item(`item-${n}`))));
  const { values } = await metrics.commitSize.get();
  assert.equal(values.find(({ metricName }) => metricName?.endsWith('_count'))?.value, 1);
  await close();
});

test('events are refused when too many wait; a single call that is larger is taken when none waits', async (t) => {
  const { events, items, close } = sqliteOf(t, { maxEventQueue: 2 }).open();
  const calls = await Promise.allSettled([
    events.append([event('1', 'u', 'a', 1), event('2', 'u', 'a', 1), event('3', 'u', 'a', 1)]),
    events.append([event('4', 'u', 'a', 1)]),
    events.eraseUser('u', 10),
    items.put(item('a')), // bounded elsewhere
  ]);
  assert.deepEqual(
    calls.map((call) => (call.status === 'fulfilled' ? 'done' : (call.reason as { code: string }).code)),
    ['done', 'overloaded', 'overloaded', 'done'],
  );
  assert.deepEqual((await events.append([event('4', 'u', 'a', 1)])).accepted, [true]);
  await close();
});

test('what is erased stands in no file once the erasure is purged; a reader of an older state holds that up, but no write', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const { events, close } = open();
  await events.append([event('1', 'somebody-unique', 'a', 1)]);
  const isInFiles = () => readdirSync(dataDir).some((name) => readFileSync(join(dataDir, name)).includes('somebody-unique'));
  assert.equal(isInFiles(), true);

  const reader = new Database(join(dataDir, 'reelfuse.sqlite'), { readonly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM events').get();
  await events.eraseUser('somebody-unique', 10);
  assert.equal(await events.purgeErased(30), false);
  await events.append([event('2', 'v', 'a', 1)]);
  reader.exec('COMMIT');
  reader.close();
  assert.equal(await events.purgeErased(10_000), true);
  assert.equal(isInFiles(), false);
  await close();
});

test('totals that are being read end when the store is closed', async (t) => {
  const { events, close } = sqliteOf(t).open();
  await events.append(Array.from({ length: 5000 }, (_, n) => event(`${n}`, 'u', `item-${n}`, 0)));
  const pages = events.popularity(0, 1000)[Symbol.asyncIterator]();
  await pages.next();
  await close();
  await assert.rejects(pages.next(), /the store is closed/);
});

test('a copy holds what was acknowledged before, can be looked into, and names the folders that its models have moved to', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const { items, models, keyValues, close } = open();
  await items.put(item('a'));
  await models.register({ fingerprint: 'f', folder: '/here', manifest: '{}', registered_at: 1 });
  await keyValues.set('model_dir', '/here');
  const target = temporaryFolder(t);
  const file = join(target, DATABASE_FILE);
  const copied = copyDatabase(dataDir, file);
  await items.put(item('later'));
  await close();
  assert.deepEqual(copied, { schema_version: MIGRATIONS, model_dir: '/here', models: [{ fingerprint: 'f', folder: '/here' }] });
  moveModels(file, [{ fingerprint: 'f', folder: '/there' }], 'f');
  const found = inspectDatabase(target, packageFile('migrations', 'sqlite'));
  assert.deepEqual([found.schemaVersion, found.items, found.events, found.meta.get('model_dir')], [MIGRATIONS, 1, 0, '/there']);
  assert.throws(() => copyDatabase(dataDir, file), /already exists/);
});

test('a database of a newer version is refused', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  await open().close();
  const database = new Database(`${dataDir}/reelfuse.sqlite`);
  database.pragma('user_version = 99');
  database.close();
  assert.throws(open, /schema version 99/);
});

test('a data folder that is a file is refused by name', (t) => {
  const file = join(temporaryFolder(t), 'data');
  writeFileSync(file, '');
  assert.throws(() => lockDataDir(file), { name: 'InputError', message: /data cannot be used as REELFUSE_DATA_DIR: EEXIST/ });
});

test('a database of the version before knows every attribute of its items after the migration', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const before = temporaryFolder(t);
  for (const name of readdirSync(packageFile('migrations', 'sqlite')).filter((file) => file < '008'))
    copyFileSync(packageFile('migrations', 'sqlite', name), join(before, name));
  const database = new Database(join(dataDir, DATABASE_FILE));
  migrate(database, before);
  const insert = database.prepare(`INSERT INTO items (item_id, attributes, created_at, updated_at, sequence) VALUES (?, ?, ?, 9, ?)`);
  const catalogue = [
    { size: 1, 'odd "name"\n\u2028': true, at: '2026-10-05t00:00:00z' },
    { size: 'large', tags: [], flag: false },
    { at: '2026-10-05 00:00:00.5+02:00', size: 2.5 },
    {},
  ];
  catalogue.forEach((attributes, n) => insert.run(`v${n}`, JSON.stringify(attributes), 100 - n, n + 1));
  database.close();
  const { attributes, items, close } = open();
  assert.deepEqual(
    (await attributes.list()).map(({ name, declared, types, first_seen_at: seen }) => [name, declared, [...types].sort(), seen]),
    [
      ['at', null, ['string', 'time'], 98],
      ['flag', null, ['boolean'], 99],
      ['odd "name"\n\u2028', null, ['boolean'], 100],
      ['size', null, ['number', 'string'], 98],
      ['tags', null, ['strings'], 99],
    ],
  );
  assert.equal((await attributes.declare('at', 'time')).declared, 'time'); // the values are read, because SQL could not tell
  await assert.rejects(attributes.declare('size', 'number'), /"v1" carries the attribute "size"/);
  await assert.rejects(items.put(item('v9', { item: { ...item('v9').item, attributes: { at: 'soon' } } })), { code: 'invalid_request' });
  await close();
});

test('a registry that a failed group has changed is as it was, in the memory of the writer too', async () => {
  const database = new Database(':memory:');
  migrate(database, packageFile('migrations', 'sqlite'));
  const write = createWriter(database);
  const put = (id: string, attributes: Record<string, unknown>): WriteOperation => ({
    type: 'putItem',
    write: item(id, { item: { ...item(id).item, attributes } }),
  });
  const unstorable = { type: 'setValue', key: 'k', value: null as unknown as string, isFirst: false } as const;
  const registered = (operations: WriteOperation[]) =>
    write(operations).map((outcome) =>
      'value' in outcome && outcome.value !== null && 'attributes' in outcome.value ? outcome.value.attributes.length : null,
    );
  assert.deepEqual(registered([put('a', { one: 1 }), unstorable, put('b', { one: 1, two: 2 })]), [1, null, 1]); // `one` is kept
  const full = {
    ...put('c', { three: 3 }),
    write: { ...item('c'), vectors: [{ fingerprint: null as unknown as string, id_share: 0, vector: new Float32Array(1) }] },
  };
  full.write.item.attributes = { three: 3 };
  assert.deepEqual(registered([full as WriteOperation]), [null]);
  assert.deepEqual(registered([put('d', { three: 3 })]), [1]); // else the name would be missing in the table
  assert.deepEqual(database.prepare('SELECT name FROM attributes ORDER BY name').pluck().all(), ['one', 'three', 'two']);
});
