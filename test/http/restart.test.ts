import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { build, clip, putClips, temporaryFolder, view } from '../build.js';

test('items, vectors and events survive a restart', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 20);
  await first.app.inject({ method: 'DELETE', url: `/v1/items/${clip(20)}` });
  await first.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e1', 'u', clip(1))] } });
  const ask = { method: 'POST', url: '/v1/recommendations', payload: { user_id: 'u', k: 30, exact: true } } as const;
  const before = (await first.app.inject(ask)).json<{ items: unknown[]; sequence: number }>();
  await first.stop();

  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const after = (await second.app.inject(ask)).json<{ items: unknown[]; sequence: number }>();
  assert.equal(before.items.length, 18);
  assert.deepEqual(after.items, before.items);
  assert.equal(after.sequence, before.sequence);
});

test('until the catalogue is loaded readyz says so and recommendations are answered by the fallback', async (t) => {
  const { app } = await build(t, {}, systemClock, { load: false });
  const other = await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'u' } });
  assert.equal(other.json<{ fallback: string }>().fallback, 'starting');
  const put = await app.inject({ method: 'PUT', url: '/v1/items/a', payload: {} });
  assert.deepEqual([put.statusCode, put.headers['retry-after']], [503, '1']);
});

test('a second server cannot open the same data folder', async (t) => {
  const { dataDir } = await build(t);
  await assert.rejects(build(t, { REELFUSE_DATA_DIR: dataDir }), /in use by process/);
});
