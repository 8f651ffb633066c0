import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { lockDataDir } from '../../src/store/data-lock.js';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.js';
import type { EventWrite, ItemWrite, Store } from '../../src/store/store.js';
import { temporaryFolder } from '../build.js';

type OpenStore = (t: TestContext) => { open: () => Store };

const event = (id: string, user: string, item: string, at: number, positive = true): EventWrite => ({
  event_id: id,
  user_id: user,
  item_id: item,
  type: positive ? 'view' : 'skip',
  at,
  watch_ms: null,
  duration_ms: null,
  watch_portion: null,
  recommendation_id: null,
  positive,
});

const item = (id: string, change: Partial<ItemWrite> = {}): ItemWrite => ({
  item: { item_id: id, title: id, author_id: null, attributes: { topic: 'x' }, available_from: null, expires_at: null, hidden: false },
  hiddenStates: null,
  vectors: [],
  ...change,
});

/** What every store must hold, whatever its engine. */
function conformance(engine: string, create: OpenStore): void {
  test(`${engine}: an item can be read back, replaced and deleted`, async (t) => {
    const store = create(t).open();
    const data = new Uint8Array([1, 2, 3, 4]);
    const created = await store.putItem(item('a', { hiddenStates: { dtype: 'float16', shape: [1, 2], data } }));
    assert.equal(created.created, true);
    assert.deepEqual(new Uint8Array(store.hiddenStates('a')?.data ?? []), data);
    const replaced = await store.putItem(item('a'));
    assert.equal(replaced.created, false);
    assert.ok(replaced.sequence > created.sequence);
    assert.equal(store.hiddenStates('a'), null);
    assert.deepEqual(store.item('a')?.attributes, { topic: 'x' });
    assert.ok(((await store.deleteItem('a'))?.sequence ?? 0) > replaced.sequence);
    assert.equal(store.item('a'), null);
    assert.equal(await store.deleteItem('a'), null);
    await store.close();
  });

  test(`${engine}: an event id counts once, within a call and across calls`, async (t) => {
    const store = create(t).open();
    assert.deepEqual((await store.appendEvents([event('1', 'u', 'a', 1), event('1', 'u', 'b', 2)])).accepted, [true, false]);
    assert.deepEqual((await store.appendEvents([event('1', 'u', 'c', 3), event('2', 'u', 'd', 4)])).accepted, [false, true]);
    assert.deepEqual(
      store.history('u', 10).map((entry) => entry.item_id),
      ['d', 'a'],
    );
    await store.close();
  });

  test(`${engine}: late events take their place by time; negatives are seen, but no history`, async (t) => {
    const store = create(t).open();
    await store.appendEvents([event('1', 'u', 'new', 100), event('2', 'u', 'old', 50), event('3', 'u', 'skipped', 70, false)]);
    assert.deepEqual(
      store.history('u', 10).map((entry) => entry.item_id),
      ['new', 'old'],
    );
    assert.deepEqual(
      store.history('u', 1).map((entry) => entry.item_id),
      ['new'],
    );
    assert.deepEqual(store.recent('u').positives, ['new', 'old']);
    assert.deepEqual(
      [...store.recent('u').met],
      [
        ['new', 100],
        ['skipped', 70],
        ['old', 50],
      ],
    );
    assert.deepEqual(store.users(null, 10), [{ user_id: 'u', events: 2 }]);
    await store.close();
  });

  test(`${engine}: recent items follow every change of a user's events, and listeners hear of it before it resolves`, async (t) => {
    const store = create(t).open();
    const heard: (string | null)[] = [];
    store.onUserChange((user) => heard.push(user));
    const positives = (user: string) => store.recent(user).positives;
    assert.deepEqual(positives('u'), []);
    await store.appendEvents([event('1', 'u', 'a', 1), event('2', 'v', 'b', 1)]);
    assert.deepEqual([positives('u'), positives('v')], [['a'], ['b']]);
    await store.appendEvents([event('3', 'u', 'c', 2), event('4', 'u', 'a', 3)]);
    assert.deepEqual([positives('u'), positives('v')], [['a', 'c'], ['b']]);
    await store.expireEvents(2, 10);
    assert.deepEqual([positives('u'), positives('v')], [['a', 'c'], []]);
    await store.eraseUser('u', 10);
    assert.deepEqual(positives('u'), []);
    assert.deepEqual(heard, ['u', 'v', 'u', 'u', null, 'u']);
    await store.close();
  });

  test(`${engine}: a user is erased in steps of a limit, whatever kinds of events there are`, async (t) => {
    const store = create(t).open();
    const shown = { ...event('4', 'u', 'd', 4, false), type: 'impression' as const };
    await store.appendEvents([event('1', 'u', 'a', 1), event('2', 'u', 'b', 2), event('3', 'v', 'c', 3), shown]);
    const steps: number[] = [];
    for (const _ of [1, 2, 3]) steps.push((await store.eraseUser('u', 2)).events);
    assert.deepEqual(steps, [2, 1, 0]);
    assert.deepEqual(store.recent('v').positives, ['c']);
    await store.close();
  });

  test(`${engine}: an old positive stays in the history, and met, behind a thousand newer skips`, async (t) => {
    const store = create(t).open();
    const skips = Array.from({ length: 1000 }, (_, n) => event(`skip-${n}`, 'u', `skipped-${n}`, 10 + n, false));
    await store.appendEvents([event('1', 'u', 'watched', 1), ...skips]);
    assert.deepEqual(store.recent('u').positives, ['watched']);
    assert.equal(store.recent('u').met.get('watched'), 1);
    await store.close();
  });

  test(`${engine}: vectors belong to a fingerprint and end with their item's features`, async (t) => {
    const store = create(t).open();
    const vector = new Float32Array([0.5, -1]);
    await store.putItem(item('a', { vectors: [{ vector, id_share: 0.5, fingerprint: 'f1' }] }));
    await store.saveVectors('f2', [
      { item_id: 'a', vector, id_share: 0.25 },
      { item_id: 'gone', vector, id_share: 1 },
    ]);
    const shares = (fingerprint: string) => store.itemsWithVectors(fingerprint, null, 100).map(({ stored }) => stored?.id_share ?? null);
    assert.deepEqual([shares('f1'), shares('f2'), shares('f3')], [[0.5], [0.25], [null]]);
    assert.deepEqual(store.itemsWithVectors('f1', null, 100)[0]?.stored?.vector, vector);
    await store.putItem(item('a'));
    assert.deepEqual([shares('f1'), shares('f2')], [[null], [null]]);
    await store.close();
  });

  test(`${engine}: sequences grow over all kinds of writes and go on after a restart`, async (t) => {
    const { open } = create(t);
    const store = open();
    const { sequence: first } = await store.putItem(item('a'));
    const { sequence: second } = await store.appendEvents([event('1', 'u', 'a', 1)]);
    const third = (await store.deleteItem('a'))?.sequence ?? 0;
    assert.deepEqual([second - first, third - second], [1, 1]);
    assert.equal(store.sequence(), third);
    await store.close();
    const reopened = open();
    assert.equal((await reopened.putItem(item('b'))).sequence, third + 1);
    await reopened.close();
  });

  test(`${engine}: a write that cannot be stored fails alone, not with its group`, async (t) => {
    const store = create(t).open();
    const broken = { ...event('bad', 'u', 'a', 1), user_id: null as unknown as string };
    const results = await Promise.allSettled([
      store.putItem(item('a')),
      store.appendEvents([event('ok', 'u', 'a', 1), broken]),
      store.putItem(item('b')),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(store.countItems(), 2);
    assert.deepEqual(store.history('u', 10), []);
    await store.close();
  });

  test(`${engine}: popularity halves with each half-life and ignores negatives`, async (t) => {
    const store = create(t).open();
    await store.appendEvents([event('1', 'u', 'a', 0), event('2', 'v', 'a', 1000), event('3', 'w', 'a', 1000, false)]);
    assert.deepEqual([...store.popularity(1000, 1000)], [{ item_id: 'a', weight: 1.5, is_item: 0 }]);
    await store.putItem(item('a'));
    assert.deepEqual([...store.popularity(1000, 1000)], [{ item_id: 'a', weight: 1.5, is_item: 1 }]);
    await store.close();
  });
}

conformance('sqlite', (t) => {
  const folder = temporaryFolder(t);
  return { open: () => openSqliteStore(folder, createMetrics(), (error) => assert.fail(error)) };
});

test('a database of a newer version is refused', async (t) => {
  const folder = temporaryFolder(t);
  const open = () => openSqliteStore(folder, createMetrics(), (error) => assert.fail(error));
  await open().close();
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(`${folder}/reelfuse.sqlite`);
  database.pragma('user_version = 99');
  database.close();
  assert.throws(open, /schema version 99/);
});

test('a data folder that is a file is refused by name', (t) => {
  const file = join(temporaryFolder(t), 'data');
  writeFileSync(file, '');
  assert.throws(() => lockDataDir(file), { name: 'InputError', message: /data cannot be used as REELFUSE_DATA_DIR: EEXIST/ });
});
