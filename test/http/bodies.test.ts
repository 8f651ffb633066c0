import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build, clip, demoStates } from '../build.js';

const JSON_TYPE = { 'content-type': 'application/json' };

test('each route has limits of its own, and refuses before it parses', async (t) => {
  const { app } = await build(t);
  const post = async (url: string, body: string | Buffer, headers: Record<string, string> = {}, method: 'POST' | 'PUT' = 'POST') => {
    const answer = await app.inject({ method, url, payload: body, headers: { ...JSON_TYPE, ...headers } });
    return [answer.statusCode, answer.json<{ code: string }>().code];
  };
  const zeros = (field: string, count: number): string => `{"${field}":[${'0,'.repeat(count)}0]}`;
  const tooComplex = [413, 'body_too_complex'];
  const tooLarge = [413, 'body_too_large'];

  assert.deepEqual(await post('/v1/recommendations', zeros('history', 30_000)), tooComplex);
  assert.deepEqual(await post('/v1/recommendations', JSON.stringify({ user_id: 'x'.repeat(3 << 20) })), tooLarge);
  assert.deepEqual(await post('/v1/recommendations', zeros('history', 5000)), [422, 'invalid_request']);
  assert.deepEqual(await post('/v1/items/a/similar', zeros('exclude', 30_000)), tooComplex);
  assert.deepEqual(await post('/v1/recommendations/batch', `{"requests":[{},${zeros('history', 30_000)}]}`), tooComplex);
  assert.deepEqual(await post('/v1/events', `{"events":[{},${zeros('event_id', 20_000)}]}`), tooComplex);
  assert.deepEqual(await post('/v1/items/batch', `{"items":[{"item_id":"a"},${zeros('item_id', 20_000)}]}`), tooComplex);
  assert.deepEqual(await post('/v1/items/batch', `{${Array.from({ length: 2000 }, (_, n) => `"k${n}":0`).join()},"items":[{}]}`), tooComplex);
  assert.deepEqual(await post('/v1/items/a', zeros('title', 20_000), {}, 'PUT'), tooComplex);
  assert.deepEqual(await post('/v1/items/a', JSON.stringify({ title: 'x'.repeat(5 << 20) }), {}, 'PUT'), tooLarge);
  assert.deepEqual(await post('/v1/models', zeros('folder', 20_000)), tooComplex);
  assert.deepEqual(await post('/v1/models', JSON.stringify({ folder: 'x'.repeat(70_000) })), tooLarge);

  const bomb = gzipSync(zeros('history', 32_000_000), { level: 9 });
  assert.deepEqual(await post('/v1/recommendations', bomb, { 'content-encoding': 'gzip' }), tooComplex, 'of 64 MB');
  const spaces = gzipSync(`{"user_id":${' '.repeat(1 << 20)}"u"}`);
  assert.deepEqual(await post('/v1/recommendations', spaces, { 'content-encoding': 'gzip' }), tooLarge, 'expands 1,000 times');
});

test('what is large by right is taken: a batch of rows that are parsed one by one, compressed or not', async (t) => {
  const { app, api } = await build(t);
  const items = Array.from({ length: 200 }, (_, n) => ({
    item_id: `big-${n}`,
    title: 'é"\\,[{'.repeat(200),
    attributes: { tags: ['a', 'b'] },
    hidden_states: demoStates(clip(1 + (n % 300))),
  }));
  const body = JSON.stringify({ items });
  for (const [payload, headers] of [
    [body, JSON_TYPE],
    [gzipSync(body), { ...JSON_TYPE, 'content-encoding': 'gzip' }],
    [gzipSync(body), { ...JSON_TYPE, 'content-encoding': 'X-GZIP' }],
  ] as const) {
    const answer = await app.inject({ method: 'POST', url: '/v1/items/batch', payload, headers });
    assert.equal(answer.statusCode, 200, answer.body.slice(0, 300));
    assert.equal(answer.json<{ results: unknown[] }>().results.length, 200);
  }
  const { title } = (await api.getItem('big-199')).body;
  assert.equal(title, items[199]?.title);
  const at = '2026-11-01T00:00:00Z';
  const events = Array.from({ length: 10_000 }, (_, n) => ({ event_id: `e-${n}`, user_id: 'u', item_id: `big-${n % 200}`, type: 'view', at }));
  const answer = await app.inject({ method: 'POST', url: '/v1/events', payload: JSON.stringify({ events }), headers: JSON_TYPE });
  assert.equal(answer.json<{ accepted: number }>().accepted, 10_000);
});

test('thousands of rejected events are answered by as many reasons, not by all reasons of each', async (t) => {
  const { app } = await build(t);
  const events = Array.from({ length: 5000 }, (_, n) => ({ event_id: `e-${n}`, a: 1, b: 2, c: 3 }));
  const answer = await app.inject({ method: 'POST', url: '/v1/events', payload: JSON.stringify({ events }), headers: JSON_TYPE });
  const { rejected } = answer.json<{ rejected: { errors: unknown[] }[] }>();
  assert.equal(answer.statusCode, 422);
  assert.equal(rejected.length, 5000);
  assert.ok((rejected[0]?.errors.length ?? 0) > 1);
  assert.equal(rejected[4999]?.errors.length, 1);
});

test('a body that is not gzip ends no process, also when nobody reads it', async (t) => {
  const { app } = await build(t);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const headers = { 'content-encoding': 'gzip' };
  for (const type of ['text/plain', 'application/json; charset=latin1', 'application/json', 'application/x-ndjson'])
    for (const path of ['/v1/recommendations', '/v1/items/batch', '/v1/models', '/nowhere']) {
      const answer = await fetch(url + path, { method: 'POST', headers: { ...headers, 'content-type': type }, body: 'not gzip'.repeat(1000) });
      assert.ok(answer.status >= 400 && answer.status < 500, `${type} to ${path}: ${answer.status}`);
    }
  assert.equal((await fetch(`${url}/livez`)).status, 200);
});

test('charsets and codings other than UTF-8 and gzip are refused, as is text that is not UTF-8', async (t) => {
  const { app } = await build(t);
  const post = async (payload: Buffer | string, headers: Record<string, string>) => {
    const answer = await app.inject({ method: 'POST', url: '/v1/recommendations', payload, headers });
    return [answer.statusCode, answer.json<{ code?: string }>().code, answer.headers['accept-encoding']];
  };
  const body = '{"user_id":"u"}';
  for (const type of ['application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'Application/JSON; Charset=utf8'])
    assert.equal((await post(body, { 'content-type': type }))[0], 200, type);
  for (const type of ['application/json; charset=iso-8859-1', 'application/json; charset="latin1"', 'text/plain'])
    assert.deepEqual(await post(body, { 'content-type': type }), [415, 'unsupported_media_type', undefined], type);
  assert.deepEqual(await post(body, { ...JSON_TYPE, 'content-encoding': 'br' }), [415, 'unsupported_content_encoding', 'gzip, identity']);
  assert.equal((await post(body, { ...JSON_TYPE, 'content-encoding': 'identity' }))[0], 200);
  assert.deepEqual(await post(Buffer.from('{"user_id":"caf\xe9"}', 'latin1'), JSON_TYPE), [400, 'malformed_json', undefined]);
});
