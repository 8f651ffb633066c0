import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES } from '../../src/http/error-codes.js';
import { build, clip, putClips } from '../build.js';

test('liveness and readiness say what they stand for', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 3);
  const [live, ready] = await Promise.all([api.raw('/livez'), api.ready()]);
  assert.deepEqual([live.status, live.body], [200, { status: 'live' }]);
  assert.deepEqual([ready.status, ready.body], [200, { status: 'ready', items: 3 }]);
});

test('metrics count what was asked, and name neither users nor items', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 5);
  await api.putItem('waiting');
  await api.recommend({ history: [clip(1)], k: 2, exploration: { slots: 1 } });
  await api.recommend({ user_id: 'secret-user', k: 2 });
  const answer = await api.raw('/metrics');
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  const value = (line: RegExp): number => Number(new RegExp(`^${line.source} (\\S+)$`, 'm').exec(answer.text)?.[1] ?? NaN);
  assert.equal(value(/reelfuse_items\{state="searchable"\}/), 5);
  assert.equal(value(/reelfuse_items\{state="pending_features"\}/), 1);
  assert.equal(value(/reelfuse_fallback_total\{reason="no_history"\}/), 1);
  assert.equal(value(/reelfuse_http_request_duration_seconds_count\{route="\/v1\/recommendations",method="POST",status_class="2xx"\}/), 2);
  assert.equal(value(/reelfuse_stage_duration_seconds_count\{stage="search"\}/), 2);
  assert.match(answer.text, new RegExp(`reelfuse_generation_info\\{fingerprint="${services.generations.current.artifact.fingerprint}"`));
  assert.ok(!answer.text.includes('secret-user') && !answer.text.includes(clip(1)));
});

test('what has not happened yet reads 0 for every reason, and what nobody has measured is absent', async (t) => {
  const { api, services } = await build(t, {}, undefined, { load: false });
  const ready = async () => /^reelfuse_ready (\d)$/m.exec(await api.metrics())?.[1];
  assert.equal(await ready(), '0');
  await services.load();
  assert.equal(await ready(), '1');
  const body = await api.metrics();
  for (const series of ['rejected_total{reason="overload"}', 'swaps_total{outcome="failed"}', 'snapshots_total{outcome="damaged"}'])
    assert.ok(body.includes(`reelfuse_${series} 0\n`), series);
  assert.match(body, /^# TYPE reelfuse_index_recall_ratio gauge$/m);
  assert.doesNotMatch(body, /^reelfuse_(index_recall_ratio|snapshot_age_seconds) /m);
  assert.ok(Number(/^reelfuse_data_available_bytes (\S+)$/m.exec(body)?.[1]) > 0);
});

test('the API describes itself: every route, every error code, and the page that shows it', async (t) => {
  const { api } = await build(t);
  const described = (await api.raw<{ openapi: string; paths: Record<string, Record<string, { summary?: string }>> }>('/openapi.json')).body;
  assert.equal(described.openapi, '3.1.0');
  for (const path of ['/v1/recommendations', '/v1/items/{item_id}', '/v1/events', '/v1/models', '/v1/snapshots', '/v1/reports/quality', '/metrics'])
    assert.ok(described.paths[path] !== undefined, path);
  for (const [path, methods] of Object.entries(described.paths))
    for (const [method, { summary }] of Object.entries(methods)) assert.ok((summary ?? '').length > 5, `${method} ${path}`);
  assert.ok(Object.keys(ERROR_CODES).length > 20);
  const docs = await api.raw('/docs/');
  assert.equal(docs.status, 200);
  assert.match(docs.text, /swagger/i);
  const page = await api.raw('/');
  assert.match(String(page.headers['content-type']), /^text\/html/);
});
