import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { openToAll } from './auth.js';
import { packageFile } from '../package-root.js';

/**
 * Content security policy of the console: only scripts of this server run, text is never parsed as markup, and no site may frame
 * the page. Pictures may come from other sites, because an item may name one.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' https:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/** Serves the console under / and /console/. */
export async function registerConsole(app: FastifyInstance): Promise<void> {
  await app.register(async (scope) => {
    openToAll(scope);
    scope.addHook('onSend', async (_request, reply) => {
      void reply.headers({ 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    });
    await scope.register(fastifyStatic, { root: packageFile('src', 'console'), prefix: '/console/' });
    scope.get('/', { schema: { hide: true } }, (_request, reply) => reply.sendFile('index.html'));
  });
}
