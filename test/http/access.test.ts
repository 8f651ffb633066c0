import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKeyRing, followKeyFile } from '../../src/http/api-keys.js';
import { createFailedKeys, networkOf } from '../../src/http/failed-keys.js';
import { createRateLimiter } from '../../src/http/rate-limit.js';
import { build } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

test('after ten wrong keys an address has to wait, longer each time; other addresses and a key in use from there go on', async (t) => {
  const { api } = await build(t, { REELFUSE_API_KEYS: 'reader-secret:recommend,other-secret:recommend' });
  const ask = async (key: string, remoteAddress: string) => {
    const { status, headers } = await api.raw({ url: '/v1/models', headers: bearer(key), remoteAddress });
    return [status, headers['retry-after']];
  };
  assert.deepEqual(await ask('reader-secret', '192.0.2.1'), [200, undefined]);
  for (let wrong = 0; wrong < 10; wrong++) assert.deepEqual(await ask(`guess-${wrong}`, '192.0.2.1'), [401, undefined]);
  assert.deepEqual(await ask('guess', '192.0.2.1'), [429, '1']);
  assert.deepEqual(await ask('other-secret', '192.0.2.1'), [429, '1'], 'whether it is right is not told');
  assert.deepEqual(await ask('reader-secret', '192.0.2.1'), [200, undefined]);
  assert.deepEqual(await ask('other-secret', '192.0.2.2'), [200, undefined]);
});

test('the wait doubles up to 30 s, and is forgotten after ten quiet minutes', () => {
  let now = 1;
  const failed = createFailedKeys(() => now);
  for (let failure = 0; failure < 10; failure++) failed.fail('192.0.2.1');
  const waits: number[] = [];
  for (let failure = 0; failure < 7; failure++) {
    waits.push(failed.blockedFor('192.0.2.1'));
    now += 30_000;
    assert.equal(failed.blockedFor('192.0.2.1'), 0);
    failed.fail('192.0.2.1');
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 30, 30]);
  now += 700_000;
  failed.fail('192.0.2.1');
  assert.equal(failed.blockedFor('192.0.2.1'), 0);
});

test('an IPv6 caller is its /64, a mapped IPv4 address is that address', () => {
  assert.equal(networkOf('2001:db8:0:1::1'), networkOf('2001:0db8::1:ffff:0:0:2'));
  assert.notEqual(networkOf('2001:db8:0:1::1'), networkOf('2001:db8:0:2::1'));
  assert.equal(networkOf('::1'), networkOf('::2'));
  assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0');
  assert.equal(networkOf('::ffff:192.0.2.1'), '192.0.2.1');
});

test('X-Forwarded-For names the caller only behind a trusted proxy', async (t) => {
  const blocked = async (environment: Record<string, string>): Promise<number> => {
    const { api } = await build(t, { REELFUSE_API_KEYS: 'reader-secret:recommend', ...environment });
    const ask = (key: string, caller: string) =>
      api.raw({ url: '/v1/models', headers: { ...bearer(key), 'x-forwarded-for': caller }, remoteAddress: '10.1.2.3' });
    for (let wrong = 0; wrong < 10; wrong++) await ask('wrong-secret', `192.0.2.${wrong}`);
    return (await ask('reader-secret', '198.51.100.1')).status;
  };
  assert.equal(await blocked({}), 429, 'a caller cannot choose its address');
  assert.equal(await blocked({ REELFUSE_TRUSTED_PROXIES: '10.0.0.0/8' }), 200);
});

test('a key has its requests per second, told by RateLimit headers; another key has its own', async (t) => {
  const { api } = await build(t, { REELFUSE_API_KEYS: 'first-secret:recommend,second-secret:recommend', REELFUSE_KEY_REQUESTS_PER_SECOND: '2' });
  const ask = (key: string) => api.raw({ url: '/v1/models', headers: bearer(key) });
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask('first-secret')));
  const refused = answers.filter(({ status }) => status === 429);
  assert.equal(refused.length, 3);
  assert.deepEqual([refused[0]?.problem.code, refused[0]?.headers['retry-after']], ['rate_limited', '1']);
  assert.equal(answers[0]?.headers['ratelimit-policy'], '"requests";q=2;w=1');
  assert.match(String(answers[0]?.headers.ratelimit), /^"requests";r=1;t=1$/);
  assert.equal((await ask('second-secret')).status, 200);
});

test('bodies of a key count, also those of unknown size; one may overdraw, the next waits', async (t) => {
  const { api } = await build(t, { REELFUSE_API_KEYS: 'writer-secret:write', REELFUSE_KEY_MIB_PER_MINUTE: '1' });
  const put = () => api.putItem('a', { title: 'x'.repeat(1900), attributes: { text: 'x'.repeat(900) } }, { headers: bearer('writer-secret') });
  let taken = 0;
  while ((await put()).status < 400) taken++;
  assert.ok(taken > 300 && taken < 400, `${taken} bodies of about 2.9 kB`);
});

test('tokens return with time, and an overdraft has to return first', () => {
  let now = 0;
  const limiter = createRateLimiter({ requestsPerSecond: 0, bytesPerMinute: 6000 }, () => now);
  assert.ok(limiter !== null);
  assert.equal(limiter.take(9000), 0);
  assert.equal(limiter.take(1), 31);
  now += 31_000;
  assert.equal(limiter.take(0), 0);
  limiter.takeBytes(6000);
  assert.equal(limiter.take(0), 60);
  assert.deepEqual(limiter.headers(), { policy: '"bytes";q=6000;w=60', limit: '"bytes";r=0;t=119' });
  assert.equal(createRateLimiter({ requestsPerSecond: 0, bytesPerMinute: 0 }), null);
});

test('keys of a file are exchanged while the server runs; a file that cannot be used changes nothing, and no secret is logged', async (t) => {
  const file = join(temporaryFolder(t), 'keys');
  const write = (text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write('first-secret:recommend');
  const ring = createKeyRing([{ secret: 'first-secret', scopes: ['recommend'] }], { requestsPerSecond: 5, bytesPerMinute: 0 });
  const logged = new EventEmitter();
  const lines: unknown[] = [];
  const log = (...line: unknown[]): void => {
    lines.push(line);
    logged.emit('line');
  };
  const limiter = ring.find('first-secret')?.limiter;
  const stop = followKeyFile(file, ring, { info: log, warn: log } as never, 1);
  const alive = setInterval(() => undefined, 1000); // the follower keeps no process running
  t.after(() => {
    stop();
    clearInterval(alive);
  });
  const after = async (text: string): Promise<void> => {
    const line = once(logged, 'line');
    write(text);
    await line;
  };
  await after('first-secret:recommend,second-secret:write');
  assert.equal(ring.size, 2);
  assert.equal(ring.find('first-secret')?.limiter, limiter, 'a key that stays keeps what it has used');
  for (const broken of ['', 'third-secret', 'third-secret:recommend+everything', 'short:write']) {
    await after(broken);
    assert.deepEqual([ring.size, ring.find('second-secret')?.scopes], [2, ['write']], broken);
  }
  await after('fourth-secret:admin');
  assert.deepEqual([ring.find('first-secret'), ring.find('fourth-secret')?.scopes], [null, ['admin']]);
  assert.doesNotMatch(JSON.stringify(lines), /(first|second|third)-secret/);
});

test('CORS: pages of the listed origins may call, and no others', async (t) => {
  const { api } = await build(t, { REELFUSE_CORS_ORIGINS: 'https://shop.example', REELFUSE_API_KEYS: 'reader-secret:recommend' });
  const preflight = (origin: string) =>
    api.raw({ method: 'OPTIONS', url: '/v1/recommendations', headers: { origin, 'access-control-request-method': 'POST' } });
  const { status, headers } = await preflight('https://shop.example');
  assert.deepEqual([status, headers['access-control-allow-origin'], headers.vary], [204, 'https://shop.example', 'origin']);
  assert.match(String(headers['access-control-allow-headers']), /authorization, content-type/);
  assert.equal(headers['access-control-allow-credentials'], undefined);
  assert.equal((await preflight('https://elsewhere.example')).headers['access-control-allow-origin'], undefined);
  const refused = await api.raw({ url: '/v1/models', headers: { origin: 'https://shop.example' } });
  assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [401, 'https://shop.example'], 'a page can read why');
});

test('without the setting there are no CORS headers', async (t) => {
  const { api } = await build(t);
  const { headers } = await api.raw({ url: '/livez', headers: { origin: 'https://shop.example' } });
  assert.deepEqual([headers['access-control-allow-origin'], headers.vary], [undefined, undefined]);
});
