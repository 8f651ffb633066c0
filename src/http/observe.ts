import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../metrics.js';

const REQUEST_ID = /^[\w.:-]{1,128}$/;
const STATUS_CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];
const TRACE_PARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** The caller's id if it is safe to log and echo, else a new one. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Added to the request's log line. */
    logged: Record<string, string> | null;
  }
}

/** Echoes ids, measures every request and logs one line for it. The line has the route, not the URL, because URLs contain user ids. */
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
    metrics.requestSeconds.series(route, method, STATUS_CLASSES[Math.floor(status / 100)] ?? 'other').observe(elapsed / 1000);
    const line = { request_id: id, method, route, status, ms: Math.round(elapsed * 1000) / 1000, ...request.logged };
    request.log[status >= 500 ? 'warn' : 'info'](line, 'request');
    done();
  });
}
