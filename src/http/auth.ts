import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { ApiKey, Scope } from '../config.js';
import { ReelfuseError } from '../errors.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that a key needs for this route; `public`: no key is needed. Absent: `admin`. */
    scope?: Scope | 'public';
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Accepts `Authorization: Bearer …` and `X-API-Key`. Digests of equal length are compared with every key, in constant time.
 */
export function registerAuth(app: FastifyInstance, keys: readonly ApiKey[]): void {
  const known = keys.map(({ secret, scopes }) => ({ digest: digest(secret), scopes }));
  if (known.length === 0) return; // config.ts allows this on loopback only
  app.addHook('onRequest', async (request) => {
    // a route that does not name its scope needs `admin`
    const needed = request.is404 ? 'public' : (request.routeOptions.config.scope ?? 'admin');
    if (needed === 'public') return;
    const header = request.headers['x-api-key'] ?? /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (typeof header !== 'string') throw new ReelfuseError(401, 'api_key_missing', 'send Authorization: Bearer with an API key');
    const given = digest(header);
    let scopes: Scope[] | null = null;
    for (const key of known) if (timingSafeEqual(key.digest, given)) scopes = key.scopes;
    if (scopes === null) throw new ReelfuseError(401, 'api_key_unknown', 'the API key is not known');
    if (!scopes.includes(needed) && !scopes.includes('admin')) throw new ReelfuseError(403, 'scope_missing', `the API key lacks the scope ${needed}`);
  });
}

/** Static pages of a plugin need no key and get no log line. */
export function openToAll(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, scope: 'public' };
    route.logLevel = 'warn';
  });
}
