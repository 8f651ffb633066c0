import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, clip, DEMO_ARTIFACT, demoStates, otherModel, type Built } from '../build.js';
import { runCli } from '../cli/run.js';
import { temporaryFolder } from '../temporary-folder.js';
import { startProxy } from './proxy.js';
import { postgresPrograms, startPostgres, type PostgresServer } from './server.js';

/** A lease that is short enough for a test to wait for its end. */
const LEASE_SECONDS = 1;
const DEADLINE_MS = 20_000;

const view = (id: string, user: string, itemId: string, type = 'like') => ({
  event_id: id,
  user_id: user,
  item_id: itemId,
  type,
  at: '2026-11-30T10:00:00Z',
});

/** Until the condition holds; the test fails when it never does. */
async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; !(await condition()); await sleep(5)) assert.ok(Date.now() < deadline, `${what} took too long`);
}

const itemsOf = async ({ app }: Built, body: object): Promise<string[]> => {
  const answer = await app.inject({ method: 'POST', url: '/v1/recommendations', payload: body });
  assert.equal(answer.statusCode, 200, answer.body);
  return answer.json<{ items: { item_id: string }[] }>().items.map(({ item_id: id }) => id);
};
const put = async ({ app }: Built, n: number, change: object = {}): Promise<{ sequence: number }> => {
  const answer = await app.inject({
    method: 'PUT',
    url: `/v1/items/${clip(n)}`,
    payload: { title: clip(n), hidden_states: demoStates(clip(n)), ...change },
  });
  assert.ok(answer.statusCode < 300, answer.body);
  return answer.json<{ sequence: number }>();
};

const tests: Record<string, (t: TestContext, server: PostgresServer) => Promise<void>> = {
  'every server takes every write, and all answer alike': async (t, server) => {
    const url = await server.createDatabase();
    const servers = [await replica(t, url), await replica(t, url), await replica(t, url)];
    const [a, b, c] = servers as [Built, Built, Built];
    for (let n = 1; n <= 12; n++) await put(servers[n % 3] as Built, n);
    const sent = await b.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e1', 'u', clip(1)), view('e2', 'u', clip(2))] } });
    assert.equal(sent.json<{ accepted: number }>().accepted, 2);
    const again = await c.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e1', 'u', clip(1))] } });
    assert.deepEqual([again.json<{ duplicates: number }>().duplicates], [1]);
    const { sequence } = await put(a, 13);
    const asked = { user_id: 'u', k: 10, at_least_sequence: sequence, exact: true };
    const answers = await Promise.all(servers.map((one) => itemsOf(one, asked)));
    assert.equal(answers[0]?.length, 10);
    assert.deepEqual(answers, [answers[0], answers[0], answers[0]]);
    const page = (await a.app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'u', k: 4 } })).json<{
      items: { item_id: string }[];
      next_cursor: string;
    }>();
    const next = await itemsOf(b, { user_id: 'u', k: 4, cursor: page.next_cursor });
    assert.equal(
      next.some((id) => page.items.some((item) => item.item_id === id)),
      false,
    ); // a cursor goes on on any server
  },

  'what one has acknowledged as deleted or hidden, no other one serves': async (t, server) => {
    const url = await server.createDatabase();
    const [a, b] = [await replica(t, url), await replica(t, url)];
    for (let n = 1; n <= 10; n++) await put(a, n);
    const everything = { history: [clip(1)], k: 10, exact: true };
    await until(async () => (await itemsOf(b, everything)).length === 9, 'the items');
    for (let n = 2; n <= 6; n++) {
      if (n % 2 === 0) assert.equal((await a.app.inject({ method: 'DELETE', url: `/v1/items/${clip(n)}` })).statusCode, 200);
      else assert.equal((await a.app.inject({ method: 'PATCH', url: `/v1/items/${clip(n)}`, payload: { hidden: true } })).statusCode, 200);
      assert.equal((await itemsOf(b, everything)).includes(clip(n)), false);
    }
  },

  'a server that cannot reach the database stops serving before a delete is acknowledged, and comes back without the item': async (t, server) => {
    const url = await server.createDatabase();
    const proxy = await startProxy(server.port);
    t.after(proxy.close);
    const a = await replica(t, url);
    const b = await replica(t, url.replace(`:${server.port}/`, `:${proxy.port}/`));
    for (let n = 1; n <= 4; n++) await put(a, n);
    const asked = { history: [clip(1)], k: 10, exact: true };
    await until(async () => (await itemsOf(b, asked)).includes(clip(2)), 'the items');
    proxy.cut();
    let isDeleted = false;
    const deleting = a.app.inject({ method: 'DELETE', url: `/v1/items/${clip(2)}` }).then((answer) => {
      assert.equal(answer.statusCode, 200, answer.body);
      isDeleted = true;
    });
    let served = 0;
    await until(async () => {
      const wasDeleted = isDeleted;
      const answer = await b.app.inject({ method: 'POST', url: '/v1/recommendations', payload: asked });
      if (answer.statusCode === 503) assert.equal(answer.json<{ code: string }>().code, 'stale');
      else {
        assert.equal(wasDeleted, false);
        served++;
      }
      return wasDeleted && answer.statusCode === 503;
    }, 'the end of the lease');
    await deleting;
    assert.ok(served > 0); // it went on for as long as its lease allowed
    proxy.mend();
    await until(async () => (await b.app.inject({ method: 'POST', url: '/v1/recommendations', payload: asked })).statusCode === 200, 'the return');
    assert.equal((await itemsOf(b, asked)).includes(clip(2)), false);
  },

  'where the operator chose so, a server without a lease serves, and says that the answer is stale': async (t, server) => {
    const url = await server.createDatabase();
    const proxy = await startProxy(server.port);
    t.after(proxy.close);
    const b = await replica(t, url.replace(`:${server.port}/`, `:${proxy.port}/`), { REELFUSE_STALE_ANSWERS: 'serve' });
    for (let n = 1; n <= 3; n++) await put(b, n);
    proxy.cut();
    await until(async () => {
      const answer = await b.app.inject({ method: 'POST', url: '/v1/recommendations', payload: { history: [clip(1)], k: 2 } });
      assert.equal(answer.statusCode, 200);
      return answer.json<{ stale?: boolean }>().stale === true;
    }, 'the end of the lease');
    proxy.mend();
  },

  'while the database is away known users are served and writes get 503 at once; afterwards nothing acknowledged is missing': async (t, server) => {
    const own = await startPostgres();
    t.after(own.remove);
    void server;
    const a = await replica(t, await own.createDatabase(), { REELFUSE_LEASE_SECONDS: '30' });
    for (let n = 1; n <= 4; n++) await put(a, n);
    await a.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e1', 'u', clip(1))] } });
    const known = await itemsOf(a, { user_id: 'u', k: 3 });
    await own.kill();
    await until(async () => (await a.app.inject('/readyz')).json<{ status: string }>().status === 'degraded', 'the news');
    const started = performance.now();
    const refused = await a.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e2', 'u', clip(2))] } });
    assert.deepEqual([refused.statusCode, refused.json<{ code: string }>().code], [503, 'database_unavailable']);
    assert.ok(refused.headers['retry-after'] !== undefined && performance.now() - started < 1000);
    assert.deepEqual(await itemsOf(a, { user_id: 'u', k: 3 }), known);
    await own.start();
    await until(async () => (await a.app.inject('/readyz')).json<{ status: string }>().status === 'ready', 'the return');
    const taken = await a.app.inject({
      method: 'POST',
      url: '/v1/events',
      payload: { events: [view('e1', 'u', clip(1)), view('e2', 'u', clip(2))] },
    });
    assert.deepEqual([taken.json<{ accepted: number }>().accepted, taken.json<{ duplicates: number }>().duplicates], [1, 1]);
    await put(a, 5);
  },

  'import and doctor work on the database; backup names its own tools; an address that leads nowhere ends a start and tells no password':
    commandsOnDatabase,

  'a model that one server activates is taken by the others, and so is the way back': async (t, server) => {
    const url = await server.createDatabase();
    const [a, b] = [await replica(t, url), await replica(t, url)];
    for (let n = 1; n <= 6; n++) await put(a, n);
    const before = a.services.generations.current.artifact.fingerprint;
    const registered = await a.app.inject({ method: 'POST', url: '/v1/models', payload: { folder: await otherModel(t) } });
    const { fingerprint } = registered.json<{ fingerprint: string }>();
    const activate = async (wanted: string): Promise<void> => {
      const { statusCode, body } = await a.app.inject({ method: 'POST', url: `/v1/models/${wanted}/activate` });
      assert.ok(statusCode < 300, body);
    };
    const answers = (one: Built) => itemsOf(one, { history: [clip(1)], k: 5, exact: true });
    for (const wanted of [fingerprint, before]) {
      await activate(wanted);
      await until(async () => [a, b].every(({ services }) => services.generations.current.artifact.fingerprint === wanted), 'the model');
      assert.deepEqual(await answers(b), await answers(a));
    }
  },

  'every server is listed with its model, what is in effect there, and its lease; one that ends leaves the list': async (t, server) => {
    const url = await server.createDatabase();
    const [a, b] = [await replica(t, url), await replica(t, url)];
    const { sequence } = await put(a, 1);
    type Listed = { replicas: { applied: number; lease: string; items: number; fingerprint: string }[] };
    const list = async () => (await b.app.inject('/v1/replicas')).json<Listed>().replicas;
    await until(async () => (await list()).every(({ applied, items }) => applied >= sequence && items === 1), 'the change');
    assert.deepEqual(
      (await list()).map(({ lease }) => lease),
      ['held', 'held'],
    );
    await a.stop();
    assert.equal((await list()).length, 1);
  },
};

/** Without what the shell of a test sets. */
async function commandsOnDatabase(t: TestContext, server: PostgresServer): Promise<void> {
  const url = await server.createDatabase();
  const folder = temporaryFolder(t);
  const environment = { REELFUSE_DATABASE_URL: url, REELFUSE_MODEL_DIR: DEMO_ARTIFACT, REELFUSE_DATA_DIR: join(folder, 'data'), REELFUSE_PORT: '0' };
  const doctor = () => runCli(['doctor', '--json'], environment);
  const found = async () => (JSON.parse((await doctor()).stdout) as { checks: { name: string; status: string; detail: string }[] }).checks;
  const database = async () => (await found()).find(({ name }) => name === 'database');
  assert.match((await database())?.detail ?? '', /^0 items/);
  const a = await replica(t, url);
  writeFileSync(
    join(folder, 'items.jsonl'),
    [1, 2, 3].map((n) => `${JSON.stringify({ item_id: clip(n), hidden_states: demoStates(clip(n)) })}\n`).join(''),
  );
  const imported = await runCli(['import', '--items', join(folder, 'items.jsonl')], environment);
  assert.equal(imported.code, 0, imported.stderr);
  await until(async () => (await itemsOf(a, { history: [clip(1)], k: 5, exact: true })).length === 2, 'the imported items');
  assert.match((await database())?.detail ?? '', /^3 items/);
  const backup = await runCli(['backup', '--to', join(folder, 'backup')], environment);
  assert.equal(backup.code, 2);
  assert.match(backup.stderr, /PostgreSQL's own tools/);
  const unreachable = { ...environment, REELFUSE_DATABASE_URL: 'postgres://reelfuse:secret-word@127.0.0.1:1/none' };
  for (const command of ['doctor', 'serve']) {
    const refused = await runCli([command], unreachable);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stdout + refused.stderr, /PostgreSQL cannot be used/);
    assert.equal((refused.stdout + refused.stderr).includes('secret-word'), false);
  }
}

const replica = (t: TestContext, url: string, environment: Record<string, string> = {}): Promise<Built> =>
  build(t, { REELFUSE_DATABASE_URL: url, REELFUSE_LEASE_SECONDS: String(LEASE_SECONDS), ...environment });

if (postgresPrograms() === null && process.env.REQUIRE_POSTGRES !== '1')
  test('servers over PostgreSQL', { skip: 'it is not installed: apt-get install postgresql' });
else {
  const server = await startPostgres(['fsync = off']);
  after(() => server.remove());
  for (const [title, body] of Object.entries(tests)) test(title, (t) => body(t, server));
}
