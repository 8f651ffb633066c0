import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Problem } from '../api.js';
import { buildForSuite, clip, demoStates, view } from '../build.js';

describe('bad requests', () => {
  const server = buildForSuite();
  const send = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object | string): Promise<Problem> => {
    const headers = typeof payload === 'string' ? { 'content-type': 'application/json' } : {};
    const answer = await server.api.raw({ method, url, ...(payload !== undefined && { payload }), headers });
    assert.match(String(answer.headers['content-type']), /application\/problem\+json/);
    const { problem } = answer;
    assert.equal(problem.status, answer.status);
    assert.equal(problem.request_id, answer.headers['x-request-id']);
    return problem;
  };

  const rejected: [name: string, body: object, pointer: string][] = [
    ['an unknown field', { user_id: 'u', kk: 3 }, '/kk'],
    ['text for a number', { user_id: 'u', k: '3' }, '/k'],
    ['k of 0', { user_id: 'u', k: 0 }, '/k'],
    ['k of 501', { user_id: 'u', k: 501 }, '/k'],
    ['neither user nor history', { k: 3 }, '/user_id'],
    ['an id with a space', { user_id: 'a b' }, '/user_id'],
    ['an id with a control character', { user_id: 'a\u0007' }, '/user_id'],
    ['an id that is too long', { user_id: 'x'.repeat(129) }, '/user_id'],
    ['a history of numbers', { history: [1] }, '/history/0'],
    ['a history that is too long', { history: Array.from({ length: 1001 }, () => 'v') }, '/history'],
    ['an unknown field of items', { user_id: 'u', fields: ['secret'] }, '/fields/0'],
  ];
  for (const [name, body, pointer] of rejected) {
    test(`${name} is refused with its pointer`, async () => {
      const problem = await send('POST', '/v1/recommendations', body);
      assert.equal(problem.status, 422);
      assert.equal(problem.code, 'invalid_request');
      assert.ok(
        problem.errors.some((error) => error.pointer === pointer),
        JSON.stringify(problem),
      );
    });
  }

  test('broken JSON, a wrong media type and an unknown route are told apart', async () => {
    assert.equal((await send('POST', '/v1/recommendations', '{"user_id":')).code, 'malformed_json');
    assert.equal((await send('GET', '/v1/nothing')).code, 'route_not_found');
    const answer = await server.api.raw({ method: 'POST', url: '/v1/events', payload: 'x', headers: { 'content-type': 'text/csv' } });
    assert.equal(answer.status, 415);
  });

  test('an unknown query parameter is refused', async () => {
    assert.ok((await send('GET', '/v1/users/u/recommendations?kk=2')).errors.some(({ pointer }) => pointer === '/query/kk'));
  });

  test('items that do not exist are 404', async () => {
    assert.equal((await send('GET', '/v1/items/none')).code, 'item_not_found');
    assert.equal((await send('DELETE', '/v1/items/none')).code, 'item_not_found');
  });

  test('hidden states of a wrong shape, length or with NaN are refused, and nothing is stored', async () => {
    const good = demoStates(clip(1));
    const nan = Buffer.from(good.data, 'base64');
    nan.writeUInt16LE(0x7e00, 10);
    const bad: [object, string][] = [
      [{ ...good, shape: [6, 384] }, '/hidden_states/shape'],
      [{ ...good, data: good.data.slice(0, 400) }, '/hidden_states/data'],
      [{ ...good, data: nan.toString('base64') }, '/hidden_states/data'],
      [{ ...good, dtype: 'int8' }, '/hidden_states/dtype'],
    ];
    for (const [states, pointer] of bad) {
      const problem = await send('PUT', '/v1/items/bad', { hidden_states: states });
      assert.ok(
        problem.errors.some((error) => error.pointer === pointer),
        JSON.stringify(problem),
      );
    }
    assert.equal((await server.api.getItem('bad')).status, 404);
  });

  test('in a batch good rows land and bad ones are named', async () => {
    const items = [{ item_id: 'row-0', hidden_states: demoStates(clip(1)) }, { item_id: 'row-1', colour: 'red' }, { title: 'no id' }];
    const answer = await server.api.putItems(items);
    assert.equal(answer.status, 207);
    const { results } = answer.body;
    assert.deepEqual(
      results.map(({ status }) => status),
      [201, 422, 422],
    );
    assert.equal(results[1]?.error?.pointer, '/items/1/colour');
    assert.equal(results[2]?.error?.pointer, '/items/2/item_id');
    assert.equal((await server.api.getItem('row-0')).status, 200);
  });

  test('an NDJSON stream, gzipped too, lands row by row', async () => {
    const lines = [...Array.from({ length: 300 }, (_, index) => JSON.stringify({ item_id: `line-${index}` })), '{broken', ''].join('\n');
    const answer = await server.api.streamItems(gzipSync(lines), { headers: { 'content-encoding': 'gzip' } });
    assert.equal(answer.status, 207, answer.text);
    const { results } = answer.body;
    assert.equal(results.length, 301);
    assert.equal(results[0]?.state, 'pending_features');
    assert.equal(results[300]?.error?.pointer, '/300');
  });

  test('events are judged one by one and counted once', async () => {
    const events = [
      view('x-1', 'u', 'v1'),
      { ...view('x-2', 'u', 'v1'), type: 'teleport' },
      { ...view('x-3', 'u', 'v1'), at: '2999-01-01T00:00:00Z' },
    ];
    const first = await server.api.sendEvents(events);
    assert.equal(first.status, 207);
    const answer = first.body;
    assert.equal(answer.accepted, 1);
    assert.deepEqual(
      answer.rejected.map(({ index, errors }) => [index, errors[0]?.pointer]),
      [
        [1, '/events/1/type'],
        [2, '/events/2/at'],
      ],
    );
    const again = await server.api.sendEvents(events.slice(0, 1));
    assert.deepEqual([again.status, again.body.accepted, again.body.duplicates], [200, 0, 1]);
  });

  test('a call takes 10,000 events, and not one more', async () => {
    const events = Array.from({ length: 10_001 }, (_, n) => view(`many-${n}`, `u-${n % 100}`, 'v1'));
    const answer = await server.api.sendEvents(events.slice(1));
    assert.deepEqual([answer.status, answer.body.accepted], [200, 10_000]);
    assert.ok((await send('POST', '/v1/events', { events })).errors.some(({ pointer }) => pointer === '/events'));
  });

  test('the request id and traceparent of the caller come back; a harmful id does not', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await server.api.raw({ url: '/livez', headers: { 'x-request-id': 'abc-1', traceparent } });
    assert.equal(answer.headers['x-request-id'], 'abc-1');
    assert.equal(answer.headers.traceparent, traceparent);
    const harmful = await server.api.raw({ url: '/livez', headers: { 'x-request-id': '"}{' } });
    assert.notEqual(harmful.headers['x-request-id'], '"}{');
  });
});
