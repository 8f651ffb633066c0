import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import {
  createClient,
  type ClientOptions,
  type ImportedRow,
  type ItemInput,
  type ItemResult,
  type ReelfuseProblem,
  type ReelfuseUnreachable,
} from '../../src/client/client.js';
import { build, buildForSuite, clip, demoStates, putClips, type Built } from '../build.js';
import { startFaultyProxy, type FaultyProxy } from './faulty-proxy.js';

interface SetUp extends Built {
  client: ReturnType<typeof createClient>;
  proxy: FaultyProxy;
}

/** A listening server with some demo clips, and a client that speaks to it through a proxy. */
async function setUp(t: TestContext, environment: Record<string, string> = {}, options: Partial<ClientOptions> = {}): Promise<SetUp> {
  const built = await build(t, environment);
  return { ...built, ...(await connectTo(t, await built.app.listen({ host: '127.0.0.1', port: 0 }), options)) };
}

async function connectTo(t: TestContext, url: string, options: Partial<ClientOptions> = {}): Promise<Pick<SetUp, 'client' | 'proxy'>> {
  const proxy = await startFaultyProxy(t, url);
  return { proxy, client: createClient({ baseUrl: proxy.url, retry: { firstDelayMs: 1 }, ...options }) };
}

const busy = { kind: 'answer', status: 503, headers: { 'retry-after': '0' } } as const;
const lost = { kind: 'answer lost' } as const;

/** @returns the error itself, of the kind that is expected */
async function refusalOf<Kind extends Error = ReelfuseProblem>(call: Promise<unknown>, name = 'ReelfuseProblem'): Promise<Kind> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason as Error,
  );
  assert.equal(error?.name, name, String(error));
  return error as Kind;
}

describe('a client of one server', () => {
  let url = '';
  const server = buildForSuite({}, async ({ app }) => (url = await app.listen({ host: '127.0.0.1', port: 0 })));
  const connect = (t: TestContext, options?: Partial<ClientOptions>) => connectTo(t, url, options);

  test('one item from its creation to its end, with conditions that hold and that do not', async (t) => {
    const { client } = await connect(t);
    const created = await client.putItem('v/1?ü', { title: 'pasta', attributes: { topic: 'cooking' }, hidden_states: demoStates(clip(1)) });
    assert.equal(created.state, 'searchable');
    const again = await refusalOf(client.putItem('v/1?ü', { title: 'other' }, { ifAbsent: true }));
    assert.deepEqual([again.status, again.code], [412, 'precondition_failed']);
    const patched = await client.patchItem('v/1?ü', { title: 'fresh pasta' }, { ifMatch: created.sequence });
    assert.ok(patched.sequence > created.sequence);
    assert.equal((await refusalOf(client.patchItem('v/1?ü', { hidden: true }, { ifMatch: created.sequence }))).code, 'precondition_failed');
    const item = await client.getItem('v/1?ü');
    assert.deepEqual([item.title, item.attributes, item.sequence], ['fresh pasta', { topic: 'cooking' }, patched.sequence]);
    assert.equal((await client.deleteItem('v/1?ü')).state, 'deleted');
    const gone = await refusalOf(client.getItem('v/1?ü'));
    assert.deepEqual([gone.status, gone.code], [404, 'item_not_found']);
  });

  test('a refusal is retried until it is over, whatever the call', async (t) => {
    const { client, proxy } = await connect(t);
    proxy.faults = [busy, { ...busy, status: 429 }];
    assert.equal((await client.putItem('x', { title: 'x' }, { ifAbsent: true })).state, 'pending_features');
    assert.equal(proxy.requests.length, 3);
  });

  test('attempts are bounded, and the last refusal is thrown', async (t) => {
    const { client, proxy } = await connect(t, { retry: { maxAttempts: 3, firstDelayMs: 1 } });
    proxy.faults = [
      busy,
      busy,
      { ...busy, headers: { 'retry-after': '7', 'content-type': 'application/problem+json' }, body: '{"code":"overloaded"}' },
    ];
    const problem = await refusalOf(client.recommend({ user_id: 'u' }));
    assert.deepEqual([problem.status, problem.code, problem.retryAfterMs, problem.attempts], [503, 'overloaded', 7000, 3]);
    assert.equal(proxy.requests.length, 3);
  });

  test('a wait that is longer than allowed is not begun', async (t) => {
    const { client, proxy } = await connect(t);
    proxy.faults = [{ ...busy, headers: { 'retry-after': '3600' } }];
    const problem = await refusalOf(client.recommend({ user_id: 'u' }));
    assert.deepEqual([problem.code, problem.retryAfterMs, problem.attempts], ['http_503', 3_600_000, 1]);
  });

  test('events whose answer was lost are counted once', async (t) => {
    const { client, proxy } = await connect(t);
    await putClips(server.app, 2);
    proxy.faults = [lost, busy];
    const answer = await client.sendEvents([1, 2].map((n) => ({ user_id: 'u', item_id: clip(n), type: 'view' as const })));
    assert.deepEqual([answer.accepted, answer.duplicates], [0, 2]);
    assert.equal(proxy.requests.length, 3);
    assert.equal((await client.getHistory('u')).items.length, 2);
  });

  test('a batch whose answer was lost is answered as the first time', async (t) => {
    const { client, proxy } = await connect(t);
    const items: ItemInput[] = [{ item_id: 'a' }, { item_id: 'b', title: 'B' }];
    proxy.faults = [lost];
    const results = await client.putItems(items);
    assert.deepEqual(
      results.map(({ item_id: id, status }) => [id, status]),
      [
        ['a', 201],
        ['b', 201],
      ],
    );
    assert.equal(proxy.requests.length, 2);
    assert.equal(proxy.requests[0]?.headers['idempotency-key'], proxy.requests[1]?.headers['idempotency-key']);
    assert.equal(server.services.stores.changes.sequence, Math.max(...results.map(({ sequence = 0 }) => sequence))); // nothing was written after them
    const reused = await refusalOf(client.putItems([{ item_id: 'c' }], { idempotencyKey: String(proxy.requests[0]?.headers['idempotency-key']) }));
    assert.equal(reused.code, 'idempotency_key_reused');
  });

  test('what would not be the same when done twice is not sent again when nobody knows what became of it', async (t) => {
    const { client, proxy } = await connect(t);
    proxy.faults = [lost];
    const unreachable = await refusalOf<ReelfuseUnreachable>(client.putItem('x', {}, { ifAbsent: true }), 'ReelfuseUnreachable');
    assert.equal(unreachable.attempts, 1);
    assert.match(unreachable.message, /^PUT \/v1\/items\/x at http:.+other side closed/);
    proxy.faults = [{ kind: 'answer', status: 502, body: '<html>' }];
    const problem = await refusalOf(client.deleteItem('x'));
    assert.deepEqual([problem.code, problem.detail, problem.attempts], ['http_502', 'Bad Gateway', 1]);
    proxy.faults = [{ kind: 'answer', status: 502, body: '<html>' }, lost];
    assert.equal((await client.getItem('x')).item_id, 'x');
  });

  test('an import of any length goes in bounded bodies, survives lost answers, and tells each row what became of it', async (t) => {
    const { client, proxy } = await connect(t);
    let taken = 0;
    async function* source(): AsyncGenerator<ItemInput> {
      for (; taken < 250; taken++) yield taken === 120 ? { item_id: 'n120', attributes: { '': 'no name' } } : { item_id: `n${taken}` };
    }
    proxy.faults = [lost, busy];
    let row = 0;
    for await (const result of client.importItems(source(), { maxRows: 100 })) {
      assert.equal(result.row, row);
      assert.equal(result.status, row === 120 ? 422 : 201);
      if (row === 120) assert.match(result.error?.pointer ?? '', /^\/20\/attributes/);
      if (row < 100) assert.ok(taken <= 101, `${taken} were taken before row ${row} was told`);
      row++;
    }
    assert.equal(row, 250);
    assert.equal(proxy.requests.length, 5);
    assert.equal(new Set(proxy.requests.map(({ headers }) => headers['idempotency-key'])).size, 3);
  });

  test('rejected events are told in the answer, also when all of them are', async (t) => {
    const { client } = await connect(t);
    const answer = await client.sendEvents([{ event_id: 'e', user_id: 'u', item_id: 'x', type: 'view', watch_portion: -1 }]);
    assert.deepEqual([answer.accepted, answer.rejected[0]?.event_id, answer.rejected[0]?.errors[0]?.pointer], [0, 'e', '/events/0/watch_portion']);
  });
});

test('a feed goes on page by page without repeating an item, and what a user does changes the next one', async (t) => {
  const { client, app } = await setUp(t);
  await putClips(app, 30);
  const first = await client.sendEvents([{ user_id: 'u', item_id: clip(3), type: 'view', watch_portion: 1 }]);
  assert.equal(first.accepted, 1);
  const seen: string[] = [];
  for await (const page of client.feed({ user_id: 'u', k: 10, fields: ['title'] })) {
    assert.equal(page.fallback, null);
    seen.push(...page.items.map(({ item_id: id }) => id));
  }
  assert.equal(seen.length, 29);
  assert.equal(new Set(seen).size, 29);
  assert.ok(!seen.includes(clip(3)));
  const byQuery = await client.recommendForUser('u', { k: 2, fields: ['title'], filter: { not: { field: 'item_id', in: seen.slice(0, 5) } } });
  assert.deepEqual(
    byQuery.items.map(({ item_id: id, item }) => [id, item?.title]),
    seen.slice(5, 7).map((id) => [id, `title of ${id}`]),
  );
  assert.equal((await client.replayRecommendation(byQuery.recommendation_id)).items.length, 2);
  assert.equal((await client.similarItems(clip(1), { k: 5 })).items.length, 5);
  const [good, bad] = await client.recommendBatch([
    { user_id: 'u', k: 1 },
    { history: [clip(1)], filter: { field: 'colour', eq: 'red' } },
  ]);
  assert.equal(good?.answer?.items.length, 1);
  assert.deepEqual([bad?.status, bad?.error?.errors[0]?.pointer], [422, '/filter/field']);
});

test('histories, erasure, models, snapshots, reports and operations', async (t) => {
  const { client, app } = await setUp(t);
  await putClips(app, 5);
  await client.sendEvents([1, 2].map((n) => ({ user_id: `u${n}`, item_id: clip(n), type: 'like' as const, at: new Date('2026-11-24T10:00:00Z') })));
  assert.deepEqual((await client.getHistory('u1', { fields: ['title'] })).items, [
    { item_id: clip(1), at: '2026-11-24T10:00:00.000Z', type: 'like', item: { title: `title of ${clip(1)}` } },
  ]);
  const users: string[] = [];
  for await (const { user_id: id } of client.users({ limit: 1 })) users.push(id);
  assert.deepEqual(users, ['u1', 'u2']);
  assert.deepEqual(await client.eraseUser('u1').then(({ events_deleted: events, complete }) => [events, complete]), [1, true]);
  const { models } = await client.listModels();
  const [model] = models;
  assert.equal(model?.active, true);
  assert.equal((await client.activateModel(model.fingerprint)).state, 'active');
  assert.equal((await refusalOf(client.registerModel('models'))).errors[0]?.pointer, '/folder');
  const snapshot = await client.writeSnapshot();
  assert.deepEqual(await client.listSnapshots(), [snapshot]);
  assert.deepEqual(
    (await client.listReplicas()).replicas.map(({ lease, items }) => [lease, items]),
    [['none', 5]],
  );
  assert.deepEqual((await client.reportQuality({ hours: 1 })).groups, []);
  assert.deepEqual([(await client.live()).status, await client.ready()], ['live', { status: 'ready', items: 5 }]);
  assert.match(await client.metrics(), /^reelfuse_items\{state="searchable"\} 5$/m);
  const found: string[] = [];
  for await (const { item_id: id } of client.items({ limit: 2, state: 'searchable' })) found.push(id);
  assert.deepEqual(found, [1, 2, 3, 4, 5].map(clip));
});

test('what is wrong is told by code, detail and a pointer for each field', async (t) => {
  const { client, proxy } = await setUp(t, { REELFUSE_API_KEYS: 'a-secret-of-mine:recommend' });
  assert.equal((await refusalOf(client.recommend({ user_id: 'u' }))).code, 'api_key_missing');
  const known = createClient({ baseUrl: `${proxy.url}/`, apiKey: 'a-secret-of-mine' });
  assert.equal((await refusalOf(known.putItem('x', {}))).code, 'scope_missing');
  const problem = await refusalOf(known.recommend({ user_id: 'u', k: 501, diversity: 2 }));
  assert.deepEqual(
    problem.errors.map(({ pointer }) => pointer),
    ['/k', '/diversity'],
  );
  assert.deepEqual([problem.status, problem.code, problem.attempts], [422, 'invalid_request', 1]);
  assert.match(problem.message, /^422 invalid_request: .+\/k must be <= 500/);
  assert.equal(typeof problem.requestId, 'string');
});

test('what JSON would change is refused in its row by its pointer, and the others land', async (t) => {
  const { client } = await setUp(t);
  const given = (item: object): ItemInput => item as ItemInput; // as a caller without types gives it
  const items = [
    given({ item_id: 'a', attributes: { 'x/y': NaN } }),
    given({ item_id: 'b', title: undefined, attributes: { n: 1 } }),
    given({ item_id: 'c', attributes: { tags: ['one', undefined] } }),
    given({ item_id: 'd', expires_at: new Date(NaN) }),
    given({ item_id: 'e', attributes: { n: 1n } }),
    given({ item_id: 'f', attributes: { n: new Float32Array(2) } }),
    given({ item_id: 'g', expires_at: new Date('2099-01-01T00:00:00Z') }),
  ];
  const expected = [
    ['a', 422, '/attributes/x~1y', 'is NaN: leave it out, or give null'],
    ['b', 201, undefined, undefined],
    ['c', 422, '/attributes/tags/1', 'is undefined: leave it out, or give null'],
    ['d', 422, '/expires_at', 'is an invalid Date'],
    ['e', 422, '/attributes/n', 'is a BigInt: give a number, or a text'],
    ['f', 422, '/attributes/n', 'is a Float32Array, which JSON has no form for'],
    ['g', 201, undefined, undefined],
  ];
  const told = (results: readonly ItemResult[]) =>
    results.map(({ item_id: id, status, error }) => [id, status, error?.pointer.replace(/^(\/items)?\/\d+/, ''), error?.detail]);
  const put = await client.putItems(items);
  assert.deepEqual(told(put), expected);
  assert.equal(put[2]?.error?.pointer, '/items/2/attributes/tags/1');
  for (const id of ['b', 'g']) await client.deleteItem(id);
  const imported: ImportedRow[] = [];
  for await (const row of client.importItems(items, { maxRows: 3 })) imported.push(row);
  assert.deepEqual(told(imported), expected);
  assert.equal(imported[5]?.error?.pointer, '/2/attributes/n');
  assert.equal((await client.getItem('g')).expires_at, '2099-01-01T00:00:00.000Z');

  const like = { user_id: 'u', item_id: 'b', type: 'like' } as const;
  const answer = await client.sendEvents([like, { ...like, event_id: 'e1', at: new Date(NaN) }, { ...like, watch_portion: Infinity }]);
  assert.equal(answer.accepted, 1);
  assert.deepEqual(
    answer.rejected.map(({ index, event_id: id, errors }) => [index, id === 'e1', errors]),
    [
      [1, true, [{ pointer: '/events/1/at', detail: 'is an invalid Date' }]],
      [2, false, [{ pointer: '/events/2/watch_portion', detail: 'is Infinity: leave it out, or give null' }]],
    ],
  );
  await assert.rejects(client.putItem('h', { attributes: { n: -Infinity } }), /^TypeError: \/attributes\/n is -Infinity/);
  await assert.rejects(client.recommend({ user_id: 'u', filter: { field: 'n', gte: NaN } }), /^TypeError: \/filter\/gte is NaN/);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  await assert.rejects(client.putItem('h', { attributes: cycle as Record<string, string> }), /is nested deeper than 100 levels/);
});

test('a row that is longer than the server reads is told, and the others land', async (t) => {
  const { app } = await build(t, { REELFUSE_BODY_LIMIT_MB: '1' });
  const client = createClient({ baseUrl: await app.listen({ host: '127.0.0.1', port: 0 }) });
  const long = 'x'.repeat(1024 * 1024);
  const items: ItemInput[] = [{ item_id: 'a' }, { item_id: 'b', title: long }, { item_id: 'c' }, { item_id: 'd', title: long }];
  for (const limits of [{}, { maxRows: 1 }]) {
    const statuses: number[] = [];
    for await (const { status } of client.importItems(items, limits)) statuses.push(status >= 400 ? status : 200);
    assert.deepEqual(statuses, [200, 413, 200, 413]);
  }
});
