import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import { createClient } from '../../src/client/client.js';
import { retryAfterMs } from '../../src/client/problem.js';

/** Answers one after another without a network, so that time can be played with. */
function scripted(answers: (() => Response | Promise<Response>)[]): { fetch: typeof fetch; calls: RequestInit[] } {
  const calls: RequestInit[] = [];
  return {
    calls,
    fetch: async (_url, init) => {
      calls.push(init ?? {});
      const answer = answers[calls.length - 1];
      if (answer === undefined) throw new Error('no more answers');
      return answer();
    },
  };
}

const refusal = (headers: Record<string, string>) => () => new Response('{"code":"overloaded","detail":"full"}', { status: 503, headers });
const live = () => new Response('{"status":"live"}');

test('no retry comes before Retry-After is over, and none much later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { fetch, calls } = scripted([refusal({ 'retry-after': '4' }), live]);
  const answer = createClient({ baseUrl: 'http://server', fetch }).live();
  await nextTurn();
  t.mock.timers.tick(3999);
  await nextTurn();
  assert.equal(calls.length, 1);
  t.mock.timers.tick(1001);
  await nextTurn();
  assert.equal(calls.length, 2);
  assert.deepEqual(await answer, { status: 'live' });
});

test('without Retry-After the waits double and are spread', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(Math, 'random', () => 1);
  const { fetch, calls } = scripted([refusal({}), refusal({}), refusal({}), live]);
  const answer = createClient({ baseUrl: 'http://server', fetch, retry: { firstDelayMs: 100 } }).live();
  for (const [wait, sent] of [
    [100, 2],
    [200, 3],
    [400, 4],
  ] as const) {
    await nextTurn();
    t.mock.timers.tick(wait - 1);
    await nextTurn();
    assert.equal(calls.length, sent - 1);
    t.mock.timers.tick(1);
    await nextTurn();
    assert.equal(calls.length, sent);
  }
  assert.deepEqual(await answer, { status: 'live' });
});

test('an attempt that takes too long is given up and made again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const hanging = (signal: AbortSignal | null | undefined): Promise<Response> =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
  const { fetch, calls } = scripted([() => hanging(calls[0]?.signal), () => hanging(calls[1]?.signal)]);
  const answer = createClient({ baseUrl: 'http://server', fetch, timeoutMs: 500, retry: { maxAttempts: 2, firstDelayMs: 10 } }).live();
  const refused = assert.rejects(answer, { name: 'ReelfuseUnreachable', attempts: 2, message: /no answer within 500 ms/ });
  for (let round = 0; round < 2; round++) {
    await nextTurn();
    t.mock.timers.tick(500);
    await nextTurn();
    t.mock.timers.tick(10);
  }
  await refused;
});

test('who aborts is not kept waiting, neither by an attempt nor between two', async () => {
  const controller = new AbortController();
  const { fetch, calls } = scripted([refusal({ 'retry-after': '20' })]);
  const answer = createClient({ baseUrl: 'http://server', fetch }).live({ signal: controller.signal });
  await nextTurn();
  controller.abort(new Error('gone to bed'));
  await assert.rejects(answer, /gone to bed/);
  await assert.rejects(createClient({ baseUrl: 'http://server', fetch }).live({ signal: controller.signal }), /gone to bed/);
  assert.equal(calls.length, 1);
});

test('the key goes with each request; a body of items is sent as lines', async () => {
  const { fetch, calls } = scripted([() => new Response('{"results":[{"status":201},{"status":201}]}')]);
  const client = createClient({ baseUrl: '', apiKey: 'secret', fetch });
  for await (const { status } of client.importItems([{ item_id: 'a' }, { item_id: 'b' }])) assert.equal(status, 201);
  const { headers, body } = calls[0] ?? {};
  assert.equal(body, '{"item_id":"a"}\n{"item_id":"b"}\n');
  const { authorization, 'content-type': type } = headers as Record<string, string>;
  assert.deepEqual([authorization, type], ['Bearer secret', 'application/x-ndjson']);
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-11-24T10:00:00Z');
  assert.equal(retryAfterMs('12', now), 12_000);
  assert.equal(retryAfterMs('Tue, 24 Nov 2026 10:00:30 GMT', now), 30_000);
  assert.equal(retryAfterMs('Tue, 24 Nov 2026 09:00:00 GMT', now), 0);
  assert.equal(retryAfterMs('soon', now), null);
  assert.equal(retryAfterMs(null, now), null);
});
