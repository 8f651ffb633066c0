import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readConfig } from '../../src/config.js';
import { build, clip, putClips } from '../build.js';

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
  status: { code?: number };
}
interface Export {
  resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Span[] }[] }[];
}

/** What a collector is to this server: an address that takes OTLP as JSON. */
async function receiver(t: TestContext) {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (request.url === '/v1/traces') bodies.push(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const exports = (): Export[] => bodies.map((body) => JSON.parse(body) as Export);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    exports,
    spans: () => exports().flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))),
  };
}

const attribute = ({ attributes }: Pick<Span, 'attributes'>, name: string) => {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value?.stringValue ?? value?.intValue;
};
const nanoseconds = ({ startTimeUnixNano, endTimeUnixNano }: Span): number => Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano));

const modules = createRequire(import.meta.url).cache;
const isTelemetryLoaded = (): boolean => Object.keys(modules).some((file) => file.includes('@opentelemetry') && file.includes('sdk-trace'));

test('without a receiver nothing is loaded, and no hook stands in the way of a request', async (t) => {
  const { app, api, services } = await build(t);
  assert.equal(services.tracing, null);
  assert.equal(isTelemetryLoaded(), false);
  assert.equal(app.hasRequestDecorator('trace'), false);
  const answer = await api.raw({ url: '/livez' });
  assert.equal(answer.headers.traceparent, undefined);
});

test('a request is a span with its stages below it, continues the trace of its caller, and names no user', async (t) => {
  const collector = await receiver(t);
  const { app, api, stop } = await build(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'feed' });
  assert.equal(isTelemetryLoaded(), true);
  await putClips(app, 5);
  const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
  const traceparent = `00-${caller.traceId}-${caller.spanId}-01`;
  const answer = await api.recommend({ history: [clip(1)], k: 2 }, { headers: { traceparent } });
  assert.equal(answer.headers.traceparent, traceparent);
  const { timings_ms: timings, recommendation_id: id } = answer.body;
  const alone = await api.recommendForUser('secret-user', 'k=1');
  assert.equal((await api.raw('/v1/nothing-here')).status, 404);
  assert.equal((await api.recommend({ user_id: 'u', k: 0 })).status, 422);
  const late = await api.recommend({ user_id: 'u', at_least_sequence: 1e9, deadline_ms: 5 });
  assert.equal(late.status, 503);
  await stop();

  const spans = collector.spans();
  const request = spans.find(({ traceId, kind }) => traceId === caller.traceId && kind === 2);
  assert.ok(request !== undefined);
  assert.equal(request.name, 'POST /v1/recommendations');
  assert.equal(request.parentSpanId, caller.spanId);
  assert.equal(attribute(request, 'http.route'), '/v1/recommendations');
  assert.equal(attribute(request, 'http.response.status_code'), 200);
  const recommend = spans.find(({ parentSpanId }) => parentSpanId === request.spanId);
  assert.equal(recommend?.name, 'recommend');
  assert.equal(attribute(recommend, 'reelfuse.recommendation_id'), id);
  assert.equal(attribute(recommend, 'reelfuse.fallback'), 'none');
  assert.ok(nanoseconds(recommend) <= nanoseconds(request));
  const parts = spans.filter(({ parentSpanId }) => parentSpanId === recommend.spanId);
  assert.deepEqual(
    parts.map(({ name }) => name),
    ['history', 'queue', 'user_tower', 'search', 'rules'],
  );
  for (const part of [...parts, { ...recommend, name: 'total' }])
    assert.ok(
      Math.abs(nanoseconds(part) / 1e6 - (timings[part.name as keyof typeof timings] ?? NaN)) < 0.002,
      `${part.name}: ${nanoseconds(part)} ns, ${timings[part.name as keyof typeof timings]} ms`,
    );

  const unasked = spans.find(({ name }) => name === 'GET /v1/users/:user_id/recommendations');
  assert.equal(alone.headers.traceparent, `00-${unasked?.traceId}-${unasked?.spanId}-01`);
  assert.equal(unasked?.parentSpanId ?? '', '');
  assert.ok(spans.some((span) => span.name === 'GET unmatched' && attribute(span, 'http.response.status_code') === 404));
  const failures = spans.filter(({ attributes }) => attributes.some(({ key }) => key === 'error.type'));
  assert.deepEqual(
    failures.map((span) => [attribute(span, 'http.response.status_code'), attribute(span, 'error.type'), span.status.code === 2]),
    [
      [422, 'invalid_request', false],
      [503, 'sequence_not_reached', true],
    ],
  );
  assert.ok(!collector.bodies.join().includes('secret-user'));
  const [first] = collector.exports();
  assert.equal(attribute(first?.resourceSpans[0]?.resource ?? { attributes: [] }, 'service.name'), 'feed');
});

test('a caller that is not traced is not traced here either, and a share can be chosen', async (t) => {
  const collector = await receiver(t);
  const { api, stop } = await build(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0',
  });
  await api.raw({ url: '/livez', headers: { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00` } });
  await api.raw({ url: '/readyz', headers: { traceparent: `00-${'3'.repeat(32)}-${'4'.repeat(16)}-01` } });
  await api.raw('/livez');
  await stop();
  assert.deepEqual(
    collector.spans().map(({ name, traceId }) => [name, traceId]),
    [['GET /readyz', '3'.repeat(32)]],
  );
});

test('a receiver that is gone costs its traces, not the answers', async (t) => {
  const { api, stop } = await build(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  assert.equal((await api.ready()).status, 200);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let isStopped = false;
  const stopped = stop().then(() => (isStopped = true));
  for (; !isStopped; await nextTurn()) t.mock.timers.tick(100); // what it waits for the receiver
  await stopped;
});

test('settings of OpenTelemetry that the server cannot follow stop the start', () => {
  assert.throws(() => readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }), /OTEL_EXPORTER_OTLP_ENDPOINT must be an http or https address/);
  assert.throws(() => readConfig({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), /OTEL_EXPORTER_OTLP_PROTOCOL must be one of http\/json, http\/protobuf/);
  assert.throws(() => readConfig({ OTEL_TRACES_SAMPLER_ARG: '2' }), /OTEL_TRACES_SAMPLER_ARG must be a number between 0 and 1/);
});
