import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { openToAll } from './auth.js';
import { packageFile } from '../package-root.js';

/**
 * Only the console's own scripts run in the page, text is never parsed as markup, and no other site may frame it. Images may come from
 * any HTTPS origin, because items may link to them.
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
