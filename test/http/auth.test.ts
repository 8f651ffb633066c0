import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf } from '../api.js';
import { build } from '../build.js';

test('keys: none, a wrong one and one without the scope are told apart', async (t) => {
  const built = await build(t, { REELFUSE_API_KEYS: 'reading-key:recommend,writing-key:write+recommend' });
  const body = { user_id: 'u' };
  assert.deepEqual(await codeOf(built.api.recommend(body)), [401, 'api_key_missing']);
  assert.deepEqual(await codeOf(built.api.recommend(body, { headers: { authorization: 'Bearer nobodys-key' } })), [401, 'api_key_unknown']);
  assert.deepEqual(await codeOf(built.api.sendEvents([], { headers: { 'x-api-key': 'reading-key' } })), [403, 'scope_missing']);
  assert.equal((await built.api.recommend(body, { headers: { 'x-api-key': 'reading-key' } })).status, 200);
});

test('each key opens its scopes only', async (t) => {
  const { api } = await build(t, { REELFUSE_API_KEYS: 'reader-secret:recommend,writer-secret:write,boss-secret:admin' });
  const status = async (url: string, headers: Record<string, string> = {}): Promise<number> => (await api.raw({ url, headers })).status;
  assert.equal(await status('/v1/models'), 401);
  assert.equal(await status('/v1/models', { authorization: 'Bearer wrong-secret' }), 401);
  assert.equal(await status('/v1/models', { authorization: 'Bearer reader-secret' }), 200);
  assert.equal(await status('/v1/models', { 'x-api-key': 'reader-secret' }), 200);
  assert.equal(await status('/v1/models', { authorization: 'Bearer writer-secret' }), 403);
  assert.equal(await status('/metrics', { authorization: 'Bearer reader-secret' }), 403);
  assert.equal(await status('/metrics', { authorization: 'Bearer boss-secret' }), 200);
  for (const url of ['/livez', '/readyz', '/', '/docs/', '/openapi.json']) assert.equal(await status(url), 200, url);
});
