import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../metrics.js';

const REQUEST_ID = /^[\w.:-]{1,128}$/;
const CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];
const TRACE_PARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** The request id: the caller's when it is safe to log and echo, else a new one. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Fields added to the log line of the request. */
    logged: Record<string, string> | null;
  }
}

/**
 * Echoes ids, measures every request and logs one line for it. The log names the route, not the URL: URLs hold user ids. Hooks take
 * callbacks, not promises; with no child logger and selection without objects: 472 → 386 µs CPU a request (bench/LOG.md, 0fe811c).
 */
export function registerObservation(app: FastifyInstance, metrics: Metrics): void {
  app.decorateRequest('logged', null);
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    const trace = request.headers.traceparent;
    if (typeof trace === 'string' && TRACE_PARENT.test(trace)) void reply.header('traceparent', trace);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { method, id } = request;
    const route = request.routeOptions.url ?? 'unmatched';
    const status = reply.statusCode;
    const elapsed = reply.elapsedTime;
    metrics.requestSeconds.series(route, method, CLASSES[Math.floor(status / 100)] ?? 'other').observe(elapsed / 1000);
    const line = { request_id: id, method, route, status, ms: Math.round(elapsed * 1000) / 1000, ...request.logged };
    request.log[status >= 500 ? 'warn' : 'info'](line, 'request');
    done();
  });
}
