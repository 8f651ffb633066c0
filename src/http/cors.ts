import type { FastifyInstance } from 'fastify';

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const REQUEST_HEADERS =
  'authorization, content-type, content-encoding, idempotency-key, if-match, if-none-match, traceparent, x-api-key, x-request-id';
const ANSWER_HEADERS = 'etag, ratelimit, ratelimit-policy, retry-after, server-timing, traceparent, x-request-id';
const PREFLIGHT_SECONDS = '600';

/**
 * Lets pages of these origins (`*`: of any) call the API, by the CORS protocol of the Fetch standard. Credentials of the browser, as cookies, are not
 * let in: a page sends its key by header. The answer to OPTIONS itself comes from methods.ts.
 */
export function registerCors(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  const isAny = origins.includes('*');
  app.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers;
    if (!isAny) void reply.header('vary', 'origin');
    if (origin !== undefined && (isAny || origins.includes(origin))) {
      void reply.header('access-control-allow-origin', isAny ? '*' : origin).header('access-control-expose-headers', ANSWER_HEADERS);
      if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined)
        void reply
          .header('access-control-allow-methods', METHODS)
          .header('access-control-allow-headers', REQUEST_HEADERS)
          .header('access-control-max-age', PREFLIGHT_SECONDS);
    }
    done();
  });
}
