import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Scope } from '../config.js';
import { ReelfuseError } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { KeyRing, KnownKey } from './api-keys.js';
import { createFailedKeys, networkOf, type FailedKeys } from './failed-keys.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that a key needs for this route; `public`: no key is needed. Absent: `admin`. */
    scope?: Scope | 'public';
  }
}

/** Accepts `Authorization: Bearer …` and `X-API-Key`; limits what a key may use and slows down the guessing of keys. */
export function registerAuth(app: FastifyInstance, ring: KeyRing, metrics: Pick<Metrics, 'rejected'>, failed = createFailedKeys()): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (ring.size === 0) {
      done(); // config.ts allows this on loopback only
      return;
    }
    // a route that does not name its scope needs `admin`
    const needed = request.is404 ? 'public' : (request.routeOptions.config.scope ?? 'admin');
    try {
      if (needed !== 'public') {
        const key = keyOf(request, ring, failed, metrics);
        if (!key.scopes.includes(needed) && !key.scopes.includes('admin'))
          throw new ReelfuseError(403, 'scope_missing', `the API key lacks the scope ${needed}`);
        limit(key, request, reply, metrics);
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

/** @throws ReelfuseError 401 `api_key_missing`, `api_key_unknown`, 429 `api_key_attempts` */
function keyOf(request: FastifyRequest, ring: KeyRing, failed: FailedKeys, metrics: Pick<Metrics, 'rejected'>): KnownKey {
  const secret = request.headers['x-api-key'] ?? /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  if (typeof secret !== 'string') throw new ReelfuseError(401, 'api_key_missing', 'send Authorization: Bearer with an API key');
  const key = ring.find(secret);
  const network = networkOf(request.ip);
  const wait = failed.blockedFor(network);
  // a key that was in use from here goes on: others at the same address, as behind a proxy, must not shut it out
  if (wait > 0 && key?.networks.has(network) !== true) {
    metrics.rejected.inc({ reason: 'failed_keys' });
    throw new ReelfuseError(429, 'api_key_attempts', 'too many wrong API keys came from this address', { retryAfter: wait });
  }
  if (key === null) {
    failed.fail(network);
    throw new ReelfuseError(401, 'api_key_unknown', 'the API key is not known');
  }
  if (!key.networks.has(network)) key.networks.set(network, true);
  return key;
}

/** @throws ReelfuseError 429 `rate_limited` */
function limit({ limiter }: KnownKey, { headers, raw }: FastifyRequest, reply: FastifyReply, metrics: Pick<Metrics, 'rejected'>): void {
  if (limiter === null) return;
  const wait = limiter.take(Number(headers['content-length'] ?? 0));
  const { policy, limit } = limiter.headers();
  void reply.header('ratelimit-policy', policy).header('ratelimit', limit);
  if (wait > 0) {
    metrics.rejected.inc({ reason: 'rate' });
    throw new ReelfuseError(429, 'rate_limited', 'the API key has used up its requests per second or its bytes per minute', { retryAfter: wait });
  }
  if (headers['transfer-encoding'] === undefined) return;
  // a body of unknown size is counted when it is over
  const { socket } = raw;
  const before = socket.bytesRead;
  raw.once('close', () => limiter.takeBytes(socket.bytesRead - before));
}

/** Static pages of a plugin need no key and get no log line. */
export function openToAll(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, scope: 'public' };
    route.logLevel = 'warn';
  });
}
