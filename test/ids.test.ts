import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from '../src/client/client.js';
import { positiveRule } from '../src/composition/settings.js';
import { readConfig } from '../src/config.js';
import { importHistory } from '../src/ingest/import-history.js';
import { importItems } from '../src/ingest/import-items.js';
import { packageFile } from '../src/package-root.js';
import { pointersOf } from './api.js';
import { buildForSuite, view } from './build.js';
import { runCli } from './cli/run.js';
import { sqliteOf } from './store/sqlite-engine.js';
import { temporaryFolder } from './temporary-folder.js';

/** models/tests/test_ids.py reads the same file. */
const samples = JSON.parse(readFileSync(packageFile('test', 'ids.json'), 'utf8')) as Record<'ids' | 'longest' | 'others', string[]>;
const GOOD = [...samples.ids, ...samples.longest.map((character) => character.repeat(128))];
const BAD = [...samples.others, ...samples.longest.map((character) => character.repeat(129)), '\ud800'];
const sorted = (ids: Iterable<string>): string[] => [...ids].sort();

describe('ids over HTTP', () => {
  let url = '';
  const server = buildForSuite({}, async ({ app }) => (url = await app.listen({ host: '127.0.0.1', port: 0 })));

  test('every id is accepted in a path, in bodies and by the client, as item and as user', async () => {
    const client = createClient({ baseUrl: url });
    for (const id of GOOD) {
      await client.putItem(id, { author_id: id });
      assert.deepEqual([(await client.getItem(id)).item_id, (await client.getItem(id)).author_id], [id, id]);
    }
    const { results } = (await server.api.putItems(GOOD.map((id) => ({ item_id: id })))).body;
    assert.deepEqual(
      results.map(({ status }) => status),
      GOOD.map(() => 200),
    ); // the same items as by the path
    assert.equal((await client.sendEvents(GOOD.map((id, n) => ({ ...view(`e${n}`, id, id), type: 'view' as const })))).accepted, GOOD.length);
    for (const id of GOOD) {
      assert.deepEqual(
        (await client.getHistory(id)).items.map((entry) => entry.item_id),
        [id],
      );
      const { items } = await client.recommend({ user_id: id, k: 500, exclude: [id], history: [id], exclude_seen: false });
      assert.deepEqual(sorted(items.map((item) => item.item_id)), sorted(GOOD.filter((other) => other !== id)));
    }
    for (const id of GOOD) await client.deleteItem(id);
  });

  test('whatever is no id is refused at its field, and the error says what an id is', async () => {
    for (const id of BAD) {
      const row = (await server.api.putItems([{ item_id: id }, { item_id: 'kept', author_id: id }])).body.results;
      assert.deepEqual(
        row.map(({ error }) => error?.pointer),
        ['/items/0/item_id', '/items/1/author_id'],
        JSON.stringify(id),
      );
      const { rejected } = (await server.api.sendEvents([view('e', id, 'v'), view('f', 'u', id)])).body;
      assert.equal(rejected.length, 2, JSON.stringify(id));
    }
    const refused = (await server.api.putItems([{ item_id: 'a b' }])).body.results[0]?.error;
    assert.equal(refused?.detail, 'must be an id: 1 to 128 visible characters, and not . or ..');
    assert.deepEqual(await pointersOf(server.api.putItem('a b')), [422, '/path/item_id']);
  });

  test('what a URL would drop from the path is refused before it is sent elsewhere', async () => {
    const client = createClient({ baseUrl: url });
    for (const id of ['.', '..']) {
      assert.throws(() => client.eraseUser(id), RangeError);
      assert.throws(() => client.getItem(id), RangeError);
    }
  });

  test('an item or user of a version that took . and .. as ids can still be read and deleted', async () => {
    const { stores, ingest } = server.services;
    const item = { title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false };
    await ingest.put({ ...item, item_id: '..' }, null);
    const { event_id, item_id } = view('old', '..', '..');
    const none = { watch_ms: null, watch_portion: null, duration_ms: null, recommendation_id: null };
    await stores.events.append([{ event_id, item_id, user_id: '..', type: 'view', at: 1, positive: true, ...none }]);
    assert.equal((await server.api.recommend({ user_id: 'u', history: ['..'], exclude: ['..'] })).status, 200);
    const call = async (method: string, path: string): Promise<number | undefined> => {
      const sent = request(url, { method, path }).end(); // sends the path as it is
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      answer.resume();
      return answer.statusCode;
    };
    assert.deepEqual([await call('GET', '/v1/items/..'), await call('DELETE', '/v1/items/..'), await call('GET', '/v1/items/..')], [200, 200, 404]);
    assert.equal(await call('DELETE', '/v1/users/..'), 200);
    assert.deepEqual(await stores.events.history('..', 1), []);
  });

  const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;
  test('the Python client names the same items', { skip: !hasPython && 'there is no Python 3.9 or later' }, async (t) => {
    const script = `import json, sys
from reelfuse_client import Reelfuse
reelfuse = Reelfuse(sys.argv[1])
ids = json.load(open(sys.argv[2], encoding="utf-8"))
for item in ids: reelfuse.put_item(item, {"author_id": item})
print(json.dumps([reelfuse.get_item(item)["author_id"] for item in ids]))`;
    const file = join(temporaryFolder(t), 'ids.json');
    writeFileSync(file, JSON.stringify(GOOD));
    const env = { PATH: process.env.PATH, PYTHONPATH: packageFile('clients', 'python'), PYTHONDONTWRITEBYTECODE: '1' };
    const { stdout } = await promisify(execFile)('python3', ['-c', script, url, file], { env });
    assert.deepEqual(JSON.parse(stdout), GOOD);
  });
});

test('imports accept the same ids, in every kind of file', async (t) => {
  const folder = temporaryFolder(t);
  const { items, events, keyValues, close } = sqliteOf(t).open();
  const stores = { items, events, keyValues };
  const write = (name: string, lines: readonly string[]): string => {
    writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(''));
    return join(folder, name);
  };
  const cell = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const lines = (ids: readonly string[]): string[] =>
    ids.map((id) => JSON.stringify({ item_id: id }).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029'));
  const positives = positiveRule(readConfig({}));
  try {
    const files: [string, () => Promise<{ imported: number; rejectedRows: number }>][] = [
      ['good.jsonl', () => importItems(write('good.jsonl', lines(GOOD)), null, null, stores)],
      ['good.csv', () => importItems(write('good.csv', ['item_id', ...GOOD.map(cell)]), null, null, stores)],
      [
        'good.tsv',
        () =>
          importHistory(
            write(
              'good.tsv',
              GOOD.map((id) => `${id}\t${id} v`),
            ),
            positives,
            stores,
          ),
      ],
    ];
    for (const [name, run] of files) {
      const { imported, rejectedRows } = await run();
      assert.deepEqual([imported, rejectedRows], [GOOD.length, 0], name);
    }
    assert.deepEqual(sorted((await items.list(null, 1000)).map(({ item_id: id }) => id)), sorted(GOOD));
    assert.equal((await events.users(null, 1000)).length, GOOD.length);
    const refused = await importItems(write('bad.jsonl', lines(BAD)), null, null, stores);
    assert.deepEqual([refused.imported, refused.rejectedRows], [0, BAD.length]);
  } finally {
    await close();
  }
});

test('an evaluation names the line of what is no id before it asks the server', async (t) => {
  const file = join(temporaryFolder(t), 'pairs.tsv');
  const evaluate = () => runCli(['evaluate', '--interactions', file, '--url', 'http://127.0.0.1:1', '--quiet']);
  writeFileSync(file, GOOD.map((id) => `${id}\t${GOOD.join(' ')}\n`).join(''));
  assert.equal((await evaluate()).code, 3); // nobody listens there
  for (const line of ['u2\ta b c .. e', 'u\u200b\ta b c d e']) {
    writeFileSync(file, `u1\ta b c d e\n${line}\n`);
    const { code, stderr } = await evaluate();
    assert.equal(code, 2);
    assert.match(stderr, /pairs\.tsv:2: ".*" is not an id: 1 to 128 visible characters/);
  }
});
