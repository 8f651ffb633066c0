import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { bodyOf, type Api } from '../api.js';
import { build, clip, putClips, view } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const popular = async (api: Api) => {
  const answer = await api.recommend({ user_id: 'stranger', k: 5 });
  return answer.body.items;
};

test('an erased user is gone from answers, from the files and after a restart; other users stay', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 5);
  const now = new Date().toISOString();
  await first.api.sendEvents([
    view('kept-1', 'other', clip(1), now),
    view('secret-1', 'zz-secret-user', clip(4), now),
    view('secret-2', 'zz-secret-user', clip(5), now),
  ]);
  const erased = await first.api.eraseUser('zz-secret-user');
  assert.deepEqual([erased.status, erased.body.events_deleted], [200, 2]);
  assert.deepEqual((await bodyOf(first.api.getHistory('zz-secret-user'))).items, []);
  const answer = await first.api.recommend({ user_id: 'zz-secret-user' });
  assert.equal(answer.body.fallback, 'no_history');
  assert.equal((await popular(first.api)).find(({ item_id: itemId }) => itemId === clip(4))?.score, 0);
  assert.deepEqual(filesWith(dataDir, 'zz-secret-user'), []);

  const { sequence } = await bodyOf(first.api.getHistory('other'));
  await first.stop();
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual((await bodyOf(second.api.getHistory('zz-secret-user'))).items, []);
  const kept = await bodyOf(second.api.getHistory('other'));
  assert.deepEqual([kept.items.length, kept.sequence], [1, sequence]);
  const next = await second.api.sendEvents([view('kept-2', 'other', clip(2), now)]);
  assert.equal(next.body.sequence, sequence + 1);
});

const filesWith = (dataDir: string, text: string): string[] =>
  readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).includes(text))
    .map(({ name }) => name);

/** Somebody who reads an old state, as a backup does: the log cannot be emptied meanwhile. */
function openReader(dataDir: string): { end: () => void } {
  const reader = new Database(join(dataDir, 'reelfuse.sqlite'), { readonly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM events').get();
  return {
    end: () => {
      reader.exec('COMMIT');
      reader.close();
    },
  };
}

test('while somebody reads an old state, an erasure is not answered before its files are clean, and other writes go on', async (t) => {
  const { api, dataDir } = await build(t, { REELFUSE_ERASURE_WAIT_SECONDS: '600' });
  await api.sendEvents([view('secret-1', 'zz-secret-user', clip(1))]);
  const reader = openReader(dataDir);
  let isAnswered = false;
  const erasing = api.eraseUser('zz-secret-user').then((answer) => {
    isAnswered = true;
    return answer;
  });
  for (const n of [1, 2, 3]) assert.equal((await api.putItem(`beside-${n}`)).status, 201);
  assert.deepEqual((await bodyOf(api.getHistory('zz-secret-user'))).items, []);
  assert.equal(isAnswered, false);
  reader.end();
  const answer = await erasing;
  assert.deepEqual([answer.status, answer.body.complete], [200, true]);
  assert.deepEqual(filesWith(dataDir, 'zz-secret-user'), []);
});

test('an erasure whose files are not clean in time says so, goes on, and can be asked again', async (t) => {
  const { api, services, dataDir } = await build(t, { REELFUSE_ERASURE_WAIT_SECONDS: '0' });
  await api.sendEvents([view('secret-1', 'zz-secret-user', clip(1))]);
  const reader = openReader(dataDir);
  const erase = () => api.eraseUser('zz-secret-user');
  for (const events of [1, 0]) {
    const answer = await erase();
    const body = answer.body;
    assert.deepEqual([answer.status, answer.headers['retry-after'], body.events_deleted, body.complete], [202, '5', events, false]);
  }
  assert.match(await api.metrics(), /reelfuse_erasures_pending 2/);
  assert.ok(filesWith(dataDir, 'zz-secret-user').length > 0);
  reader.end();
  assert.equal(await services.stores.events.purgeErased(600_000), true);
  assert.match(await api.metrics(), /reelfuse_erasures_pending 0/);
  assert.deepEqual(filesWith(dataDir, 'zz-secret-user'), []);
});

test('a user of more events than one step takes is erased to the last', async (t) => {
  const { api } = await build(t);
  for (const call of [0, 1, 2, 3, 4]) {
    await api.sendEvents(Array.from({ length: 1000 }, (_, n) => view(`busy-${call}-${n}`, 'busy', clip(1 + (n % 3)))));
  }
  const erased = await api.eraseUser('busy');
  assert.equal(erased.body.events_deleted, 5000);
  assert.deepEqual((await bodyOf(api.getHistory('busy'))).items, []);
});

test('erasing an unknown user is no error', async (t) => {
  const { api } = await build(t);
  const answer = await api.eraseUser('nobody');
  assert.deepEqual([answer.status, answer.body.events_deleted], [200, 0]);
});

test('events older than the retention are dropped, in as many steps as it takes, and no longer count as popular', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 3);
  const now = Date.now();
  const old = new Date(now - 40 * 86_400_000).toISOString();
  for (const call of [0, 1, 2]) {
    await api.sendEvents(Array.from({ length: 900 }, (_, n) => view(`old-${call}-${n}`, `u${n}`, clip(3), old)));
  }
  await api.sendEvents([view('new', 'u1', clip(1), new Date(now).toISOString())]);
  assert.equal(await services.erasure.expireEvents(0, now), 0);
  assert.equal(await services.erasure.expireEvents(30, now), 2700);
  assert.deepEqual(
    (await bodyOf(api.getHistory('u1'))).items.map(({ item_id: itemId }) => itemId),
    [clip(1)],
  );
  assert.ok(Math.abs((await popular(api)).find(({ item_id: itemId }) => itemId === clip(3))?.score ?? 1) < 1e-6);
});
