import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { bodyOf } from '../api.js';
import { build, clip, putClips, view } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

test('items, vectors and events survive a restart', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 20);
  await first.api.deleteItem(clip(20));
  await first.api.sendEvents([view('e1', 'u', clip(1))]);
  const request = { user_id: 'u', k: 30, exact: true };
  const before = await bodyOf(first.api.recommend(request));
  await first.stop();

  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const after = await bodyOf(second.api.recommend(request));
  assert.equal(before.items.length, 18);
  assert.deepEqual(after.items, before.items);
  assert.equal(after.sequence, before.sequence);
});

test('until the catalogue is loaded readyz says so and recommendations are answered by the fallback', async (t) => {
  const { api } = await build(t, {}, systemClock, { load: false });
  const other = await api.recommend({ user_id: 'u' });
  assert.equal(other.body.fallback, 'starting');
  const put = await api.putItem('a');
  assert.deepEqual([put.status, put.headers['retry-after']], [503, '1']);
});

test('a second server cannot open the same data folder', async (t) => {
  const { dataDir } = await build(t);
  await assert.rejects(build(t, { REELFUSE_DATA_DIR: dataDir }), /in use by process/);
});
