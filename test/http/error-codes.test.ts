import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import Database from 'better-sqlite3';
import { systemClock } from '../../src/clock.js';
import { storageProblem } from '../../src/storage-faults.js';
import { ERROR_CODES } from '../../src/http/error-codes.js';
import { migrate } from '../../src/store/sqlite/migrate.js';
import { createWriter } from '../../src/store/sqlite/writer.js';
import { packageFile } from '../../src/package-root.js';
import { codeOf, type Answer } from '../api.js';
import { build, buildForSuite, clip, otherModel, putClips, view } from '../build.js';
import { manualClock } from '../manual-clock.js';
import { temporaryFolder } from '../temporary-folder.js';

interface Refusal {
  status: number;
  code: string;
  retryAfter: string | undefined;
}

async function refusal(answer: Answer<unknown> | Promise<Answer<unknown>>): Promise<Refusal> {
  const { status, headers, problem } = await answer;
  const retryAfter = headers['retry-after'];
  return { status, code: problem.code, retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined };
}

test('a body that is too large, of the wrong type or shorter than it says', async (t) => {
  const built = await build(t, { REELFUSE_BODY_LIMIT_MB: '1' });
  assert.deepEqual(await codeOf(built.api.recommend({ user_id: 'x'.repeat(2_000_000) })), [413, 'body_too_large']);
  const text = (headers: Record<string, string>) => built.api.recommend('{"user_id":"u"}', { headers });
  assert.deepEqual(await codeOf(text({ 'content-type': 'text/csv' })), [415, 'unsupported_media_type']);
  assert.deepEqual(await codeOf(text({ 'content-type': 'application/json', 'content-length': '7' })), [400, 'invalid_content_length']);
});

test('a full queue is refused at once with Retry-After, and what was accepted is answered', async (t) => {
  const built = await build(t, { REELFUSE_MAX_QUEUE: '2', REELFUSE_MAX_BATCH: '1' });
  await putClips(built.app, 20);
  const answers = await Promise.all(Array.from({ length: 30 }, () => built.api.recommend({ history: [clip(1)], k: 5 })));
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0 && refused.length < 30);
  for (const answer of refused) assert.deepEqual(await refusal(answer), { status: 503, code: 'overloaded', retryAfter: '1' });
});

test('more writes of items than may be under way are refused at once, counted, and nothing of them is kept', async (t) => {
  const built = await build(t, { REELFUSE_MAX_ITEM_QUEUE: '2' });
  const put = (n: number) => built.api.putItem(`q-${n}`);
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => put(n)));
  const refused = answers.filter(({ status }) => status !== 201);
  assert.ok(refused.length > 0 && refused.length < 10);
  for (const answer of refused) assert.deepEqual(await refusal(answer), { status: 503, code: 'overloaded', retryAfter: '1' });
  assert.equal(await built.services.stores.items.count(), 10 - refused.length);
  assert.match(await built.api.metrics(), new RegExp(`reelfuse_rejected_total{reason="item_queue_full"} ${refused.length}\n`));
  const items = Array.from({ length: 10 }, (_, n) => ({ item_id: `r-${n}` }));
  const { results } = (await built.api.putItems(items)).body;
  assert.deepEqual(
    results.slice(0, 3).map(({ status, error }) => error?.code ?? status),
    [201, 201, 'overloaded'],
  );
  assert.equal((await put(0)).status, refused.includes(answers[0] as never) ? 201 : 200);
});

test('a stream waits for places where others are refused, and its rows keep their order', async (t) => {
  const built = await build(t, { REELFUSE_MAX_ITEM_QUEUE: '2' });
  const rows = Array.from({ length: 60 }, (_, n) => JSON.stringify({ item_id: `s-${n % 6}`, title: `t${n}` })).join('\n');
  const headers = { 'content-type': 'application/x-ndjson' };
  for (const url of ['/v1/items/batch', '/v1/items/batch?wait=stored']) {
    const send = () => built.api.raw({ method: 'POST', url, payload: rows, headers });
    const answers = await Promise.all([send(), send()]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200],
    );
    await built.services.ingest.settle();
    for (const n of [0, 5]) assert.equal((await built.services.stores.items.get(`s-${n}`))?.title, `t${n + 54}`);
    assert.equal((await built.api.putItem('after')).status < 300, true);
  }
});

test('more events than may wait for the disk are refused at once and counted; one call is taken when nothing waits', async (t) => {
  const built = await build(t, { REELFUSE_MAX_EVENT_QUEUE: '4' });
  const send = (call: number, count: number) => built.api.sendEvents(Array.from({ length: count }, (_, n) => view(`${call}-${n}`, 'u', clip(n))));
  assert.equal((await send(0, 100)).status, 200);
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => send(n + 1, 2)));
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0 && refused.length < 10);
  for (const answer of refused) assert.deepEqual(await refusal(answer), { status: 503, code: 'overloaded', retryAfter: '1' });
  const { items } = (await built.api.getHistory('u', 'limit=1000')).body;
  assert.equal(items.length, 100 + 2 * (10 - refused.length));
  assert.match(await built.api.metrics(), new RegExp(`reelfuse_rejected_total{reason="event_queue_full"} ${refused.length}\n`));
  assert.equal((await send(99, 3)).status, 200);
});

test('a swap or a snapshot that is running already is a conflict', async (t) => {
  const built = await build(t);
  await putClips(built.app, 50);
  const snapshots = await Promise.all([built.api.writeSnapshot(), built.api.writeSnapshot()]);
  assert.deepEqual(snapshots.map(({ status }) => status).sort(), [201, 409]);
  assert.deepEqual(await codeOf(snapshots.find(({ status }) => status === 409) as never), [409, 'snapshot_in_progress']);
  const { fingerprint } = (await built.api.registerModel(await otherModel(t))).body;
  assert.equal((await built.api.activateModel(fingerprint)).status, 202);
  assert.deepEqual(await codeOf(built.api.activateModel(fingerprint)), [409, 'swap_in_progress']);
  await built.services.generations.idle();
});

test('an expired cursor is gone', async (t) => {
  const clock = manualClock(Date.now());
  const built = await build(t, { REELFUSE_CURSOR_MINUTES: '1' }, clock);
  await putClips(built.app, 20);
  const body = { history: [clip(1)], k: 5 };
  const { next_cursor: cursor } = (await built.api.recommend(body)).body;
  assert.equal((await built.api.recommend({ ...body, cursor })).status, 200);
  await clock.advance(61_000);
  assert.deepEqual(await codeOf(built.api.recommend({ ...body, cursor })), [410, 'cursor_expired']);
});

test('without a log of what was served there is neither replay nor report', async (t) => {
  const built = await build(t, { REELFUSE_SERVED_DAYS: '0' });
  const { recommendation_id: id } = (await built.api.recommend({ user_id: 'u' })).body;
  assert.deepEqual(await codeOf(built.api.replayRecommendation(id)), [404, 'recommendation_not_found']);
  assert.deepEqual(await codeOf(built.api.reportQuality()), [409, 'served_log_off']);
});

test('a disk that is full: nothing of the group is kept, and the caller is told when to come back', async (t) => {
  const database = new Database(':memory:');
  migrate(database, packageFile('migrations', 'sqlite'));
  database.pragma(`max_page_count = ${(database.pragma('page_count', { simple: true }) as number) + 2}`);
  const fields = { title: 'x'.repeat(20_000), author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false };
  const write = createWriter(database);
  assert.throws(() => write([{ type: 'putItem', write: { item: { ...fields, item_id: 'a' }, hiddenStates: null, vectors: [] } }]), /disk is full/);
  assert.equal(database.prepare('SELECT count(*) FROM items').pluck().get(), 0);
  database.close();

  const built = await build(t);
  built.services.stores.items.put = () => Promise.reject(storageProblem('full'));
  const answer = built.api.putItem('x');
  assert.deepEqual(await refusal(answer), { status: 507, code: 'storage_full', retryAfter: '30' });
});

test('an error of the server itself tells nothing but the request id, alone and in a batch', async (t) => {
  const built = await build(t);
  built.services.stores.events.recent = () => Promise.reject(new Error('secret detail'));
  const answer = await built.api.recommend({ user_id: 'u' });
  assert.deepEqual(await codeOf(answer), [500, 'internal_error']);
  assert.ok(!answer.text.includes('secret detail'));
  const batch = await built.api.recommendBatch([{ user_id: 'u' }]);
  const { results } = batch.body;
  assert.deepEqual([batch.status, results[0]?.status, results[0]?.error?.code], [207, 500, 'internal_error']);
  assert.ok(!batch.text.includes('secret detail'));
});

describe('a server with the usual settings', () => {
  const server = buildForSuite();

  test('a precondition that does not hold', async () => {
    const answer = server.api.putItem('x', {}, { headers: { 'if-match': '*' } });
    assert.deepEqual(await codeOf(answer), [412, 'precondition_failed']);
  });

  test('a batch says of each refused request when to come back', async () => {
    const batch = await server.api.recommendBatch([{ user_id: 'u' }, { user_id: 'u', at_least_sequence: 1e9, deadline_ms: 1 }]);
    const { results } = batch.body;
    assert.equal(results[0]?.status, 200);
    assert.deepEqual([results[1]?.status, results[1]?.error?.code, results[1]?.error?.retry_after], [503, 'sequence_not_reached', 1]);
  });

  test('what is not a request at all is answered by a problem too', async () => {
    const { app, api } = server;
    const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
    const cursor = async (length: number): Promise<Refusal> => {
      const answer = await fetch(new URL(`/v1/users/u/recommendations?cursor=${'A'.repeat(length)}`, url));
      assert.match(answer.headers.get('content-type') ?? '', /application\/problem\+json/);
      const { code, request_id: id } = (await answer.json()) as { code: string; request_id: string };
      assert.ok(id.length > 0);
      return { status: answer.status, code, retryAfter: undefined };
    };
    assert.equal((await cursor(40_000)).code, 'invalid_request'); // as long as a cursor can be
    assert.deepEqual(await cursor(70_000), { status: 431, code: 'headers_too_large', retryAfter: undefined });
    const raw = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(url.port), url.hostname, () => socket.write('this is not HTTP\r\n\r\n'));
      socket.on('data', (data) => (text += data.toString()));
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });
    assert.match(raw, /^HTTP\/1\.1 400 Bad request\r\n[^]*"code":"malformed_http"/);
    assert.deepEqual(await codeOf(api.raw('/v1/items/%zz')), [400, 'bad_request']);
    assert.deepEqual(await codeOf(api.getItem('a'.repeat(2000))), [414, 'bad_request']);
  });

  test('a body that says it is gzip and is not', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const answer = server.api.recommend('not gzip', { headers });
    assert.deepEqual(await codeOf(answer), [400, 'bad_request']);
  });

  test('a model and a recommendation that are not known', async () => {
    assert.deepEqual(await codeOf(server.api.activateModel('nothing')), [404, 'model_not_found']);
    assert.deepEqual(await codeOf(server.api.replayRecommendation('rec_nothing')), [404, 'recommendation_not_found']);
  });

  test('every error code of the sources is described, and no other', async () => {
    const files = readdirSync(packageFile('src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const sources = files.map((name) => readFileSync(join(packageFile('src'), name), 'utf8')).join('\n');
    const found = [
      ...[...sources.matchAll(/ReelfuseError\(\s*(?:\d{3}|status),\s*'(\w+)'/g)].map(([, code]) => code),
      ...[...sources.matchAll(/\[\s*\d{3},\s*'(\w+)'/g)].map(([, code]) => code), // tables of errors that others throw
      ...[...sources.matchAll(/\bcode: '([a-z_]+)'/g)].map(([, code]) => code),
      ...[...sources.matchAll(/notFound\('(\w+)'/g)].map(([, what]) => `${what}_not_found`),
    ];
    assert.deepEqual([...new Set(found)].sort(), Object.keys(ERROR_CODES).sort());
    const { api } = server;
    const { description } = (await api.raw<{ info: { description: string } }>('/openapi.json')).body.info;
    for (const code of Object.keys(ERROR_CODES)) assert.ok(description.includes(`\`${code}\``), code);
  });

  test('while the catalogue loads, writes and swaps are told to come back, and answers are the fallback ranking', async (t) => {
    const dataDir = temporaryFolder(t);
    const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
    await putClips(first.app, 3);
    await first.stop();
    const { api: starting, services } = await build(t, { REELFUSE_DATA_DIR: dataDir }, systemClock, { load: false });
    await services.generations.load(() => undefined); // all is there, but nobody has said so
    for (const answer of [starting.putItem('x'), starting.writeSnapshot(), starting.activateModel('x')])
      assert.deepEqual(await refusal(answer), { status: 503, code: 'starting', retryAfter: '1' });
    const answer = await starting.recommend({ history: [clip(1)], k: 2 });
    const { items, fallback } = answer.body;
    assert.deepEqual([items.length, fallback], [2, 'starting']);
    const ready = await starting.ready();
    assert.deepEqual([ready.status, ready.body.status], [503, 'starting']);
  });
});
