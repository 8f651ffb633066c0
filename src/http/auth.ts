import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { ApiKey, Scope } from '../config.js';
import { ReelfuseError } from '../errors.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that a key needs for this route; `public` needs none. */
    scope?: Scope | 'public';
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Requires an API key in `Authorization: Bearer …` or `X-API-Key`. Every key is compared each time, in constant time, by digests of
 * equal length.
 */
export function registerAuth(app: FastifyInstance, keys: readonly ApiKey[]): void {
  const known = keys.map(({ secret, scopes }) => ({ digest: digest(secret), scopes }));
  if (known.length === 0) return; // config.ts has made sure that only loopback is listened on
  app.addHook('onRequest', async (request) => {
    // a route without a scope needs the scope admin
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

/** Opens the static pages of a plugin: they need no key and are not logged. */
export function openToAll(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, scope: 'public' };
    route.logLevel = 'warn';
  });
}
