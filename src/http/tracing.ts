import type { FastifyInstance } from 'fastify';
import type { RequestTrace, Tracing } from '../tracing.js';
import { toReelfuseError } from './problem.js';
import type { Answer } from './recommendation-schema.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null when requests are not traced. */
    trace: RequestTrace | null;
  }
}

/** Stages in the order in which they begin. A repeated stage is one span with the total time. */
const PARTS = ['history', 'queue', 'user_tower', 'search', 'rules'] as const;

const isAnswer = (payload: unknown): payload is Answer => typeof payload === 'object' && payload !== null && 'timings_ms' in payload;

/**
 * Makes one span for each request; the span of a recommendation has a child for each stage. Spans name the route, not the URL: URLs
 * hold user ids.
 */
export function registerTracing(app: FastifyInstance, tracing: Tracing): void {
  app.decorateRequest('trace', null);
  app.addHook('onRequest', (request, reply, done) => {
    const { method, id } = request;
    const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
    const trace = tracing.begin(`${method} ${route}`, request.headers, {
      'http.request.method': method,
      'http.route': route,
      'url.scheme': request.protocol,
      'reelfuse.request_id': id,
    });
    request.trace = trace;
    request.logged = { ...request.logged, trace_id: trace.traceId };
    if (!reply.hasHeader('traceparent')) void reply.header('traceparent', trace.traceParent);
    done();
  });
  app.addHook('preSerialization', (request, _reply, payload, done) => {
    if (request.trace?.isRecording === true && isAnswer(payload)) {
      const { timings_ms: timings, items, fallback, model } = payload;
      request.trace.addFinished(
        'recommend',
        timings.total,
        PARTS.map((part) => [part, timings[part]]),
        {
          'reelfuse.items': items.length,
          'reelfuse.fallback': String(fallback ?? 'none'),
          'reelfuse.model': model.fingerprint,
          'reelfuse.recommendation_id': payload.recommendation_id,
        },
      );
    }
    done(null, payload);
  });
  app.addHook('onError', (request, _reply, error, done) => {
    request.trace?.note({ 'error.type': toReelfuseError(error).code });
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const status = reply.statusCode;
    request.trace?.note({ 'http.response.status_code': status });
    request.trace?.end(status >= 500);
    done();
  });
}
