import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES } from '../../src/http/error-codes.js';
import { build, clip, putClips } from '../build.js';

test('liveness and readiness say what they stand for', async (t) => {
  const { app } = await build(t);
  await putClips(app, 3);
  const [live, ready] = await Promise.all([app.inject('/livez'), app.inject('/readyz')]);
  assert.deepEqual([live.statusCode, live.json()], [200, { status: 'live' }]);
  assert.deepEqual([ready.statusCode, ready.json()], [200, { status: 'ready', items: 3 }]);
});

test('metrics count what was asked, and name neither users nor items', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 5);
  await app.inject({ method: 'PUT', url: '/v1/items/waiting', payload: {} });
  await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { history: [clip(1)], k: 2, exploration: { slots: 1 } } });
  await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'secret-user', k: 2 } });
  const answer = await app.inject('/metrics');
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  const value = (line: RegExp): number => Number(new RegExp(`^${line.source} (\\S+)$`, 'm').exec(answer.body)?.[1] ?? NaN);
  assert.equal(value(/reelfuse_items\{state="searchable"\}/), 5);
  assert.equal(value(/reelfuse_items\{state="pending_features"\}/), 1);
  assert.equal(value(/reelfuse_fallback_total\{reason="no_history"\}/), 1);
  assert.equal(value(/reelfuse_http_request_duration_seconds_count\{route="\/v1\/recommendations",method="POST",status_class="2xx"\}/), 2);
  assert.equal(value(/reelfuse_stage_duration_seconds_count\{stage="search"\}/), 2);
  assert.match(answer.body, new RegExp(`reelfuse_generation_info\\{fingerprint="${services.generations.current.artifact.fingerprint}"`));
  assert.ok(!answer.body.includes('secret-user') && !answer.body.includes(clip(1)));
});

test('what has not happened yet reads 0 for every reason, and what nobody has measured is absent', async (t) => {
  const { app, services } = await build(t, {}, undefined, { load: false });
  const ready = async () => /^reelfuse_ready (\d)$/m.exec((await app.inject('/metrics')).body)?.[1];
  assert.equal(await ready(), '0');
  await services.load();
  assert.equal(await ready(), '1');
  const { body } = await app.inject('/metrics');
  for (const series of ['rejected_total{reason="overload"}', 'swaps_total{outcome="failed"}', 'snapshots_total{outcome="damaged"}'])
    assert.ok(body.includes(`reelfuse_${series} 0\n`), series);
  assert.match(body, /^# TYPE reelfuse_index_recall_ratio gauge$/m);
  assert.doesNotMatch(body, /^reelfuse_(index_recall_ratio|snapshot_age_seconds) /m);
  assert.ok(Number(/^reelfuse_data_available_bytes (\S+)$/m.exec(body)?.[1]) > 0);
});

test('the API describes itself: every route, every error code, and the page that shows it', async (t) => {
  const { app } = await build(t);
  const described = (await app.inject('/openapi.json')).json<{ openapi: string; paths: Record<string, Record<string, { summary?: string }>> }>();
  assert.equal(described.openapi, '3.1.0');
  for (const path of ['/v1/recommendations', '/v1/items/{item_id}', '/v1/events', '/v1/models', '/v1/snapshots', '/v1/reports/quality', '/metrics'])
    assert.ok(described.paths[path] !== undefined, path);
  for (const [path, methods] of Object.entries(described.paths))
    for (const [method, { summary }] of Object.entries(methods)) assert.ok((summary ?? '').length > 5, `${method} ${path}`);
  assert.ok(Object.keys(ERROR_CODES).length > 20);
  const docs = await app.inject('/docs/');
  assert.equal(docs.statusCode, 200);
  assert.match(docs.body, /swagger/i);
  const page = await app.inject('/');
  assert.match(String(page.headers['content-type']), /^text\/html/);
});
