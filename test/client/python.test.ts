import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageFile } from '../../src/package-root.js';
import { build, clip, demoStates, putClips } from '../build.js';
import { startFaultyProxy } from './faulty-proxy.js';

const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;

test('the Python client keeps to the same rules', { skip: !hasPython && 'there is no Python 3.9 or later' }, async (t) => {
  const { app } = await build(t);
  await putClips(app, 30);
  const proxy = await startFaultyProxy(t, await app.listen({ host: '127.0.0.1', port: 0 }));
  const { stdout } = await promisify(execFile)(
    'python3',
    [packageFile('test', 'client', 'python_client.py'), proxy.url, JSON.stringify(demoStates(clip(1)))],
    {
      env: { PATH: process.env.PATH, PYTHONPATH: packageFile('clients', 'python'), PYTHONDONTWRITEBYTECODE: '1' },
    },
  );
  const told = JSON.parse(stdout) as Record<string, unknown> & { feed: string[]; waits: number[]; wrong: unknown[]; title: string; flat: string };
  assert.deepEqual(told.events, [0, 2]);
  assert.ok((told.waits[1] ?? 0) >= 3 && (told.waits[1] ?? 0) <= 3.75, `waited ${told.waits[1]} s where the server had said 3`);
  assert.deepEqual(told.history, [clip(2), clip(1)]);
  assert.deepEqual(told.batch, [201, 201]);
  assert.deepEqual(told.odd, [201, { price: 1.5, count: 3, file: 'a/b' }]);
  assert.deepEqual(told.unfit, ['/items/1/attributes/x', '/items/1/available_from']);
  assert.deepEqual(told.rows, [422, 201]);
  assert.equal(told.datetime, 1);
  assert.deepEqual(
    told.import,
    Array.from({ length: 25 }, (_, row) => [row, row === 15 ? 422 : 201]),
  );
  assert.equal(told.once, 1);
  assert.equal(told.bounded, 4);
  assert.deepEqual(told.hour, [1, 3600, 'http_503']);
  assert.equal(told.proxied, 'clip-0001');
  assert.deepEqual(told.proxy, ['http_502', [], '502 http_502: the answer is not a problem document']);
  assert.deepEqual(told.wrong.slice(0, 3), [422, 'invalid_request', ['/k']]);
  assert.equal(told.rejected, '/events/0/type');
  assert.equal(told.feed.length, 28);
  assert.equal(new Set(told.feed).size, 28);
  assert.match(told.title, /^title of clip-/);
  assert.deepEqual(told.users, ['u']);
  assert.equal(told.items, 30);
  assert.equal(told.patched, 'fresh pasta');
  assert.equal(told.states, 'searchable');
  assert.match(told.flat, /^hidden states are \[layers, hidden size\]/);
});
