import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import pg from 'pg';
import { createMetrics } from '../../src/metrics.js';
import { openPostgresStores, type PostgresSetup, type PostgresStores } from '../../src/store/postgres/postgres-stores.js';
import { event, fields, item } from '../store/conformance/stores.js';
import { postgresPrograms, startPostgres, type PostgresServer } from './server.js';

interface Place {
  /** A server of the cluster. */
  open(setup?: Partial<PostgresSetup>): Promise<PostgresStores>;
  /** A connection of somebody else. */
  connect(): Promise<pg.Client>;
}

function placeOf(t: TestContext, server: PostgresServer): Place {
  const url = server.createDatabase();
  const closers: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closers.reverse()) await close();
  });
  return {
    open: async (setup = {}) => {
      const stores = await openPostgresStores({ url: await url, metrics: createMetrics(), ...setup });
      closers.push(stores.close);
      return stores;
    },
    connect: async () => {
      const client = new pg.Client({ connectionString: await url });
      await client.connect();
      closers.push(() => client.end());
      return client;
    },
  };
}

/** Inserts an event in an open transaction. @returns its sequence */
async function insertEvent(client: pg.Client, id: string): Promise<number> {
  const { rows } = await client.query<{ sequence: string }>(
    `INSERT INTO events (sequence, place, event_id, user_id, item_id, type, at, positive)
     VALUES (change_base() + 1, 0, $1, 'u', 'a', 'view', 1, true) RETURNING sequence`,
    [id],
  );
  return Number(rows[0]?.sequence);
}

const tests: Record<string, (place: Place) => Promise<void>> = {
  'of commits out of order nothing is skipped; a cursor that trusts the order of the numbers skips one': async ({ open, connect }) => {
    const { feed, events } = await open();
    const [slow, fast, naive] = [await connect(), await connect(), await connect()];
    const begun = feed.applied;
    await slow.query('BEGIN');
    const earlier = await insertEvent(slow, 'slow');
    await fast.query('BEGIN');
    const later = await insertEvent(fast, 'fast');
    await fast.query('COMMIT');
    assert.ok(earlier < later);
    const readNaively = async (cursor: number): Promise<string[]> =>
      (await naive.query<{ event_id: string }>('SELECT event_id FROM events WHERE sequence > $1 ORDER BY sequence', [cursor])).rows.map(
        ({ event_id: id }) => id,
      );
    const first = await readNaively(begun);
    await feed.look();
    assert.ok(feed.applied < earlier); // an older transaction runs: nothing behind it is settled
    assert.equal(await feed.settled(earlier, 5), false);
    await slow.query('COMMIT');
    assert.equal(await feed.settled(later, 10_000), true);
    assert.deepEqual([...first, ...(await readNaively(later))], ['fast']); // the naive cursor has lost an acknowledged event
    assert.deepEqual(
      (await events.positives(0, begun, 10)).map(({ sequence }) => sequence),
      [earlier, later],
    );
  },

  'a server hears of the events, items and attributes that another one writes, each once and in order': async ({ open }) => {
    const [one, other] = [await open(), await open()];
    const users: (string | null)[] = [];
    const names: string[] = [];
    other.events.onUserChange((user) => users.push(user));
    other.attributes.onChange((name) => names.push(name));
    const sequences: number[] = [];
    for (let n = 0; n < 20; n++) {
      sequences.push((await one.events.append([event(`${n}`, `user ${n}`, 'a', n)])).sequence);
      sequences.push((await one.items.put(item(`item ${n % 5}`, { item: fields(`item ${n % 5}`, { attributes: { [`n${n}`]: n } }) }))).sequence);
    }
    const newest = Math.max(...sequences);
    assert.equal(await other.feed.settled(newest, 10_000), true);
    assert.deepEqual(
      sequences,
      [...sequences].sort((a, b) => a - b),
    );
    assert.deepEqual(
      users,
      Array.from({ length: 20 }, (_, n) => `user ${n}`),
    );
    assert.deepEqual(
      names,
      Array.from({ length: 20 }, (_, n) => `n${n}`),
    );
    assert.deepEqual(
      (await other.changes.since(0, 100)).map(({ item_id: id }) => id),
      ['item 0', 'item 1', 'item 2', 'item 3', 'item 4'],
    );
    assert.deepEqual([other.changes.sequence, other.changes.itemSequence], [newest, newest]);
  },

  'servers that write the same events and items at once lose none, double none, and agree': async ({ open }) => {
    const servers = [await open(), await open(), await open()];
    const heard = servers.map(() => new Map<string, number>());
    servers.forEach(({ events }, n) => events.onUserChange((user) => heard[n]?.set(user ?? '', (heard[n]?.get(user ?? '') ?? 0) + 1)));
    const ids = Array.from({ length: 60 }, (_, n) => `e${n}`);
    const accepted = await Promise.all(
      servers.map(async ({ events, items }, n) => {
        let count = 0;
        for (let first = 0; first < ids.length; first += 10) {
          const call = ids.slice(first, first + 10).map((id) => event(id, `user of ${id}`, 'a', 1));
          const [written] = await Promise.all([events.append(n % 2 === 0 ? call : call.reverse()), items.put(item(`i${first % 30}`))]);
          count += written.accepted.filter(Boolean).length;
        }
        return count;
      }),
    );
    assert.equal(
      accepted.reduce((sum, count) => sum + count, 0),
      ids.length,
    );
    const newest = Math.max(...servers.map(({ changes }) => changes.sequence));
    for (const server of servers) assert.equal(await server.feed.settled(newest, 10_000), true);
    for (const users of heard) assert.deepEqual([...users.keys()].sort(), ids.map((id) => `user of ${id}`).sort());
    const [first, ...others] = await Promise.all(servers.map(({ vectors }) => vectors.list('f', null, 100)));
    for (const list of others) assert.deepEqual(list, first);
  },

  'of many writers at once a reader hears every event, once': async ({ open }) => {
    const writers = await Promise.all([1, 2, 3, 4].map(() => open({ maxConnections: 4 })));
    const reader = await open();
    const heard = new Map<string, number>();
    reader.events.onCount(({ positives }) => {
      for (const { item_id: id } of positives) heard.set(id, (heard.get(id) ?? 0) + 1);
    });
    await Promise.all(
      writers.flatMap(({ events, items }, w) =>
        [1, 2, 3, 4].map(async (lane) => {
          for (let n = 0; n < 60; n++) {
            await events.append([event(`${w} ${lane} ${n}`, `u${n}`, `${w} ${lane} ${n}`, n)]);
            if (n % 10 === 0) await items.put(item(`i${n}`));
          }
        }),
      ),
    );
    const newest = Math.max(...writers.map(({ changes }) => changes.sequence));
    assert.equal(await reader.feed.settled(newest, 10_000), true);
    assert.deepEqual([heard.size, [...heard.values()].every((times) => times === 1)], [writers.length * 4 * 60, true]);
  },

  'an item whose last write has an earlier number than a delete of it is there': async ({ open, connect }) => {
    const { items, changes, feed } = await open();
    await items.put(item('a'));
    const slow = await connect();
    await slow.query('BEGIN');
    const { rows } = await slow.query<{ base: string }>('SELECT change_base() AS base');
    const earlier = Number(rows[0]?.base) + 1;
    const deleting = items.delete('a'); // acknowledged when the feed has it: after the slow transaction
    const gone = async (): Promise<boolean> => (await items.get('a')) === null;
    for (const deadline = Date.now() + 10_000; !(await gone()) && Date.now() < deadline;);
    await slow.query(`INSERT INTO items (item_id, attributes, created_at, updated_at, sequence) VALUES ('a', '{}', 1, 1, $1)`, [earlier]);
    await slow.query(`INSERT INTO changes (sequence, kind, key) VALUES ($1, 'put', 'a')`, [earlier]);
    await slow.query('COMMIT');
    const deleted = await deleting;
    assert.ok(deleted !== null && deleted.sequence > earlier);
    assert.equal(await feed.settled(deleted.sequence, 10_000), true);
    assert.deepEqual(
      (await changes.since(earlier - 1, 10)).map(({ item_id: id, kind }) => [id, kind]),
      [['a', 'put']],
    );
  },

  'after another server of PostgreSQL has taken over, sequences go on above all earlier ones, and it is told': async ({ open, connect }) => {
    let others = 0;
    const { items, changes } = await open({ onOtherOrigin: () => others++ });
    const { sequence: before } = await items.put(item('a'));
    await (await connect()).query('UPDATE sequence_origin SET timeline = timeline + 1'); // as if its ids came from elsewhere
    const { sequence: after } = await items.put(item('b'));
    assert.ok(after > before + 2 ** 20);
    assert.equal(others, 0); // it has all that was read
    assert.deepEqual(
      (await changes.since(before, 10)).map(({ item_id: id }) => id),
      ['b'],
    );
    const second = await open();
    const { sequence: third } = await second.items.put(item('c'));
    assert.ok(third > after);
    const other = await connect();
    await other.query('UPDATE sequence_origin SET timeline = timeline + 1');
    await other.query(`DELETE FROM changes WHERE key = 'b'`); // as if it had not reached the standby
    assert.ok((await items.put(item('d'))).sequence > third);
    assert.equal(others, 1);
  },
};

if (postgresPrograms() === null && process.env.REQUIRE_POSTGRES !== '1')
  test('change feed of PostgreSQL', { skip: 'it is not installed: apt-get install postgresql' });
else {
  const server = await startPostgres(['fsync = off']);
  after(() => server.remove());
  for (const [title, body] of Object.entries(tests)) test(title, (t) => body(placeOf(t, server)));
}
