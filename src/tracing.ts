import type { IncomingHttpHeaders } from 'node:http';
import type { Attributes, TextMapGetter } from '@opentelemetry/api';
import type { Sampler } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { Config } from './config.js';
import { ConfigError, messageOf } from './errors.js';
import { PACKAGE_VERSION } from './package-root.js';

/** Spans that may wait for the next export; further ones are dropped. A request has up to eight spans. */
const MAX_WAITING_SPANS = 16_384;
const LOG_EVERY_MS = 60_000;
/** Longest wait for the receiver when the server ends. */
const FLUSH_MS = 3_000;

export interface Tracing {
  /** Begins the trace of a request now, or continues the one that its W3C `traceparent` names. */
  begin(name: string, headers: IncomingHttpHeaders, attributes: Attributes): RequestTrace;
  close(): Promise<void>;
}

export interface RequestTrace {
  traceId: string;
  /** `traceparent` header for the next service. */
  traceParent: string;
  isRecording: boolean;
  note(attributes: Attributes): void;
  /** Adds a span that has just ended, with its parts one after another. Durations are milliseconds. */
  addFinished(name: string, duration: number, parts: [name: string, duration: number][], attributes: Attributes): void;
  end(isFailed: boolean): void;
}

/** Milliseconds since the epoch, with their fractions. */
const now = (): number => performance.timeOrigin + performance.now();

const headerGetter: TextMapGetter<IncomingHttpHeaders> = { keys: (headers) => Object.keys(headers), get: (headers, name) => headers[name] };

/**
 * Sends spans to an OTLP/HTTP receiver. Headers, certificates, compression and timeouts are taken by the exporter from the
 * standard variables OTEL_EXPORTER_OTLP_….
 * @throws ConfigError when the optional packages are not installed
 */
export async function openTracing(config: Config, log: Logger): Promise<Tracing> {
  const { api, core, resources, sdk, exporter } = await loadPackages();
  api.diag.setLogger(onceAMinute(log), api.DiagLogLevel.WARN);
  const url = `${config.otlpEndpoint.replace(/\/+$/, '')}/v1/traces`;
  const processor = new sdk.BatchSpanProcessor({ exporter: new exporter.OTLPTraceExporter({ url }), maxQueueSize: MAX_WAITING_SPANS });
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes({ 'service.name': config.serviceName, 'service.version': PACKAGE_VERSION }),
    sampler: samplerOf(config, sdk),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('reelfuse', PACKAGE_VERSION);
  const propagator = new core.W3CTraceContextPropagator();
  log.info({ url, sampler: config.tracesSampler }, 'requests are traced');

  return {
    begin: (name, headers, attributes) => {
      const caller = propagator.extract(api.ROOT_CONTEXT, headers, headerGetter);
      const span = tracer.startSpan(name, { kind: api.SpanKind.SERVER, startTime: now(), attributes }, caller);
      const { traceId, spanId, traceFlags } = span.spanContext();
      const isRecording = span.isRecording();
      return {
        traceId,
        traceParent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
        isRecording,
        note: (noted) => void span.setAttributes(noted),
        addFinished: (childName, duration, parts, childAttributes) => {
          const ended = now();
          let at = ended - duration;
          const child = tracer.startSpan(childName, { startTime: at, attributes: childAttributes }, api.trace.setSpan(api.ROOT_CONTEXT, span));
          const within = api.trace.setSpan(api.ROOT_CONTEXT, child);
          for (const [partName, partDuration] of parts) {
            const part = tracer.startSpan(partName, { startTime: at }, within);
            at += partDuration;
            part.end(at);
          }
          child.end(ended);
        },
        end: (isFailed) => {
          if (isFailed) span.setStatus({ code: api.SpanStatusCode.ERROR });
          span.end(now());
        },
      };
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, FLUSH_MS);
      });
      await Promise.race([provider.shutdown().catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'traces were lost')), late]);
      clearTimeout(timer);
      api.diag.disable();
    },
  };
}

/** The packages are loaded only when a receiver is set. */
async function loadPackages() {
  try {
    const [api, core, resources, sdk, exporter] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
    ]);
    return { api, core, resources, sdk, exporter };
  } catch (error) {
    throw new ConfigError(`OTEL_EXPORTER_OTLP_ENDPOINT is set, but the optional packages of OpenTelemetry are not installed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function samplerOf({ tracesSampler, tracesSamplerArg }: Config, sdk: typeof import('@opentelemetry/sdk-trace')): Sampler {
  const { AlwaysOnSampler, AlwaysOffSampler, TraceIdRatioBasedSampler, ParentBasedSampler } = sdk;
  const root = tracesSampler.endsWith('always_on')
    ? new AlwaysOnSampler()
    : tracesSampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(tracesSamplerArg);
  return tracesSampler.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root;
}

/** Limits warnings to one a minute: a missing receiver fails with each batch of spans. */
function onceAMinute(log: Logger) {
  let last = -Infinity;
  const warn = (message: string): void => {
    if (performance.now() - last < LOG_EVERY_MS) return;
    last = performance.now();
    log.warn({ reason: message.slice(0, 500) }, 'traces are being lost');
  };
  const ignore = (): void => undefined;
  return { error: warn, warn, info: ignore, debug: ignore, verbose: ignore };
}
