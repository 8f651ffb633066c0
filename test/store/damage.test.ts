import assert from 'node:assert/strict';
import { openSync, closeSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { ReelfuseError } from '../../src/errors.js';
import type { CheckedRows, StoreCheck } from '../../src/store/store-check.js';
import { DATABASE_FILE } from '../../src/store/sqlite/database.js';
import { inspectDatabase } from '../../src/store/sqlite/inspect.js';
import { packageFile } from '../../src/package-root.js';
import { unwatchedHealth } from '../storage.js';
import { event, item, states, vector } from './conformance/stores.js';
import { sqliteOf } from './sqlite-engine.js';

const PAGE_BYTES = 4096;

/** Changes stored content behind the back of the store, as a failing disk does. */
function change(dataDir: string, sql: string, ...values: unknown[]): void {
  const database = new Database(join(dataDir, DATABASE_FILE));
  database.prepare(sql).run(...values);
  database.close();
}

/** Moves everything from the log into the database, then overwrites the head of each leaf page that holds this text and not the other. */
function destroyPages(dataDir: string, text: string, spared: string): number {
  const file = join(dataDir, DATABASE_FILE);
  const database = new Database(file);
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
  const whole = readFileSync(file);
  const descriptor = openSync(file, 'r+');
  let destroyed = 0;
  for (let at = 0; at < whole.length; at += PAGE_BYTES) {
    const page = whole.subarray(at, at + PAGE_BYTES);
    const isLeaf = page[0] === 0x0a || page[0] === 0x0d;
    if (!isLeaf || !page.includes(text) || page.includes(spared)) continue;
    writeSync(descriptor, Buffer.alloc(8, 0xff), 0, 8, at);
    destroyed++;
  }
  closeSync(descriptor);
  return destroyed;
}

async function checkAll(check: StoreCheck): Promise<CheckedRows[]> {
  const found: CheckedRows[] = [];
  for (let position: string | null = null; ;) {
    const checked = await check.next(position);
    found.push(checked);
    if (checked.position === null) return found;
    position = checked.position;
  }
}

const refusal = async (call: Promise<unknown>): Promise<[number, string]> => {
  const { status, code } = await call.then(
    () => assert.fail('it was not refused'),
    (error: unknown) => error as ReelfuseError,
  );
  return [status, code];
};

test('hidden states that are not those that were written are refused by their item, and others are read', async (t) => {
  const health = unwatchedHealth();
  const { dataDir, open } = sqliteOf(t, { health });
  const { items, check, close } = open();
  for (const id of ['flipped', 'swapped', 'cut', 'sound']) await items.put(item(id, { hiddenStates: states(1, 2, 3, 4) }));
  change(dataDir, `UPDATE hidden_states SET data = x'01020305' WHERE item_id = 'flipped'`);
  change(dataDir, `UPDATE hidden_states SET checksum = (SELECT checksum FROM hidden_states WHERE item_id = 'sound') WHERE item_id = 'swapped'`);
  change(dataDir, `UPDATE hidden_states SET data = x'0102', checksum = NULL WHERE item_id = 'cut'`);
  for (const id of ['flipped', 'swapped', 'cut']) assert.deepEqual(await refusal(items.hiddenStates(id)), [500, 'damaged'], id);
  assert.deepEqual([...((await items.hiddenStates('sound'))?.data ?? [])], [1, 2, 3, 4]);
  assert.deepEqual(
    health.damagedRows.map(({ table, key }) => `${table} ${key}`),
    ['hidden_states flipped', 'hidden_states swapped', 'hidden_states cut'],
  );
  const found = (await checkAll(check)).flatMap(({ damaged }) => damaged.map(({ key }) => key));
  assert.deepEqual(found, ['cut', 'flipped', 'swapped']);
  await items.put(item('flipped', { hiddenStates: states(5, 6) }));
  await items.delete('swapped');
  const sound = async (key: string) => check.isSound({ table: 'hidden_states', key });
  assert.deepEqual([await sound('flipped'), await sound('swapped'), await sound('cut')], [true, true, false]);
  await close();
});

test('content without a checksum was written by an older version and is taken as it is', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const { items, vectors, check, close } = open();
  await items.put(item('old', { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(1), id_share: 1 }] }));
  change(dataDir, 'UPDATE hidden_states SET checksum = NULL');
  change(dataDir, 'UPDATE vectors SET checksum = NULL');
  assert.notEqual(await items.hiddenStates('old'), null);
  assert.deepEqual((await vectors.list('f', null, 1))[0]?.stored?.vector, vector(1));
  assert.deepEqual(
    (await checkAll(check)).flatMap(({ damaged }) => damaged),
    [],
  );
  await close();
});

test('a damaged vector counts as missing; its item is there', async (t) => {
  const health = unwatchedHealth();
  const { dataDir, open } = sqliteOf(t, { health });
  const { items, vectors, close } = open();
  for (const id of ['a', 'b']) await items.put(item(id, { vectors: [{ fingerprint: 'f', vector: vector(1, 2), id_share: 0.5 }] }));
  change(dataDir, `UPDATE vectors SET vector = x'0000803f00000041' WHERE item_id = 'a'`);
  const stored = (await vectors.list('f', null, 10)).map(({ item_id: id, stored: found }) => [id, found?.id_share ?? null]);
  assert.deepEqual(stored, [
    ['a', null],
    ['b', 0.5],
  ]);
  assert.deepEqual(health.damagedRows, [{ table: 'vectors', key: 'a' }]);
  await close();
});

test('an item whose attributes are damaged is left out of pages, which go on behind it', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const { items, vectors, close } = open();
  for (const id of ['a', 'b', 'c', 'd']) await items.put(item(id));
  change(dataDir, `UPDATE items SET attributes = '{"topic":' WHERE item_id IN ('a', 'b', 'd')`);
  assert.deepEqual(await refusal(items.get('a')), [500, 'damaged']);
  const ids = (rows: readonly { item_id: string }[]): string[] => rows.map(({ item_id: id }) => id);
  assert.deepEqual(ids(await items.list(null, 2)), ['c']); // the first page has damaged rows alone
  assert.deepEqual(ids(await items.list('c', 2)), []);
  assert.deepEqual(ids(await items.getMany(['a', 'c'])), ['c']);
  assert.deepEqual(ids(await vectors.list('f', null, 1)), ['c']);
  assert.deepEqual(ids(await vectors.getMany('f', ['b', 'c'])), ['c']);
  await close();
});

test('the rows of one user are damaged: whoever asks for them is told so, and others are served', async (t) => {
  const health = unwatchedHealth();
  const { dataDir, open } = sqliteOf(t, { health });
  const first = open();
  for (const user of ['broken-user', 'fine-user'])
    for (let call = 0; call < 4; call++)
      await first.events.append(Array.from({ length: 200 }, (_, n) => event(`${user}-${call}-${n}`, user, 'a', call * 200 + n)));
  await first.close();
  assert.ok(destroyPages(dataDir, 'broken-user', 'fine-user') > 4);
  const { events, check, close } = open();
  assert.deepEqual(await refusal(events.history('broken-user', 1000)), [500, 'damaged']);
  assert.deepEqual(await refusal(events.recent('broken-user')), [500, 'damaged']);
  assert.equal((await events.history('fine-user', 1000)).length, 800);
  assert.equal(health.problems[0]?.fault, 'damaged');
  const unreadable = (await checkAll(check)).flatMap(({ unreadable: reason }) => reason ?? []);
  assert.ok(
    unreadable.some((reason) => reason.startsWith('events')),
    unreadable.join(),
  );
  await close();
});

test('the check reads every row once, and a position goes on behind the rows that were read', async (t) => {
  const { open } = sqliteOf(t);
  const { items, events, check, close } = open();
  for (let n = 0; n < 3; n++)
    await items.put(item(`item-${n}`, { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(n), id_share: 1 }] }));
  await events.append(Array.from({ length: 1200 }, (_, n) => event(`e${n}`, 'u', 'item-0', n)));
  const slices = await checkAll(check);
  assert.ok(slices.every(({ rows }) => rows <= 500));
  // 3 items, states, vectors, and 3 by sequence; 1,200 events, and twice by user; the attribute, the sequence
  const rows = slices.reduce((sum, slice) => sum + slice.rows, 0);
  assert.ok(rows >= 4 * 3 + 3 * 1200, `${rows} rows`);
  assert.ok(rows <= 4 * 3 + 3 * 1200 + 10, `${rows} rows`);
  await close();
});

test('the doctor finds damaged rows beforehand', async (t) => {
  const { dataDir, open } = sqliteOf(t);
  const { items, close } = open();
  for (const id of ['a', 'b']) await items.put(item(id, { hiddenStates: states(1, 2) }));
  await close();
  change(dataDir, `UPDATE hidden_states SET data = x'ffff' WHERE item_id = 'b'`);
  const { damaged } = inspectDatabase(dataDir, packageFile('migrations', 'sqlite'));
  assert.deepEqual(damaged, [{ table: 'hidden_states', key: 'b', detail: 'its checksum does not hold' }]);
});
