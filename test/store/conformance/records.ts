import assert from 'node:assert/strict';
import { conformanceOf } from './stores.js';
import { beforeAndAfter } from './suite.js';

export const modelsConformance = conformanceOf('models', { register: true, list: true }, (behaves) => {
  behaves('models are listed oldest first, also after a restart', async ({ models }, reopen) => {
    assert.deepEqual(await models.list(), []);
    const older = { fingerprint: 'f1', folder: '/a', manifest: '{"n":1}', registered_at: 1 };
    const newer = { fingerprint: 'f0', folder: '/b', manifest: '{"n":2}', registered_at: 2 };
    await models.register(newer);
    await models.register(older);
    assert.deepEqual(await models.list(), [older, newer]);
    assert.deepEqual(await (await reopen()).models.list(), [older, newer]);
  });

  behaves('a fingerprint that is known gets the new folder and keeps the rest', async ({ models }) => {
    await models.register({ fingerprint: 'f', folder: '/a', manifest: '{}', registered_at: 1 });
    await models.register({ fingerprint: 'f', folder: '/b', manifest: '{}', registered_at: 2 });
    assert.deepEqual(await models.list(), [{ fingerprint: 'f', folder: '/b', manifest: '{}', registered_at: 1 }]);
  });
});

export const keyValuesConformance = conformanceOf('keyValues', { get: true, set: true, add: true }, (behaves) => {
  behaves('a value can be set, replaced and read, also after a restart', async (stores, reopen) => {
    assert.equal(await stores.keyValues.get('key'), null);
    await stores.keyValues.set('key', 'one');
    await stores.keyValues.set('key', '');
    await stores.keyValues.set('other', '\u{1F600}');
    for await (const { keyValues } of beforeAndAfter(stores, reopen))
      assert.deepEqual([await keyValues.get('key'), await keyValues.get('other')], ['', '\u{1F600}']);
  });

  behaves('of many who add a value under one key the first one stands, also after a restart', async (stores, reopen) => {
    const stand = await Promise.all(['a', 'b', 'c'].map((value) => stores.keyValues.add('key', value)));
    assert.equal(new Set(stand).size, 1);
    for await (const { keyValues } of beforeAndAfter(stores, reopen)) assert.equal(await keyValues.add('key', 'd'), stand[0]);
  });
});

export const idempotencyConformance = conformanceOf('idempotency', { get: true, keep: true }, (behaves) => {
  const answer = (key: string, createdAt: number, text = '{}') => ({ key, digest: 'd', status: 207, answer: text, created_at: createdAt });

  behaves('an answer is kept under its key, also after a restart; a later one replaces it', async (stores, reopen) => {
    assert.equal(await stores.idempotency.get('key'), null);
    await stores.idempotency.keep(answer('key', 1), 0);
    await stores.idempotency.keep(answer('key', 2, '[1]'), 0);
    for await (const { idempotency } of beforeAndAfter(stores, reopen)) assert.deepEqual(await idempotency.get('key'), answer('key', 2, '[1]'));
  });

  behaves('keeping an answer drops old ones, and in time all of them', async ({ idempotency }) => {
    for (let n = 0; n < 50; n++) await idempotency.keep(answer(`old ${n}`, n), 0);
    await idempotency.keep(answer('young', 1000), 0);
    for (let n = 0; n < 25; n++) await idempotency.keep(answer('new', 2000), 1000);
    const kept = await Promise.all(Array.from({ length: 50 }, (_, n) => idempotency.get(`old ${n}`)));
    assert.deepEqual(new Set(kept), new Set([null]));
    assert.ok(await idempotency.get('young')); // not before the given time
    assert.ok(await idempotency.get('new'));
  });
});
