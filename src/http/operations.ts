import { Registry } from 'prom-client';
import { Type } from 'typebox';
import { STORAGE_FAULTS } from '../storage-faults.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { TypedApp } from './typed-app.js';

/** Prometheus' text format. */
const EXPOSITION_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

const Live = Type.Object({ status: Type.Literal('live') });

const Degradation = Type.Object({
  reason: Type.Enum(STORAGE_FAULTS, {
    description: 'full: no room for writes. failed: the disk cannot be read or written. damaged: stored rows are damaged',
  }),
  detail: Type.String(),
  since: Type.String({ format: 'date-time' }),
});

const Readiness = Type.Object({
  status: Type.Enum(['ready', 'degraded', 'starting'], {
    description: 'degraded: requests are answered, but those that need what is listed in `degraded` fail',
  }),
  items: Type.Integer(),
  degraded: Type.Optional(Type.Array(Degradation)),
});

export interface OperationRoutes {
  isReady: () => boolean;
  storage: Pick<StorageHealth, 'problems'>;
  countItems: () => Promise<number>;
  /** The metrics as Prometheus reads them. */
  scrape: () => Promise<string>;
}

export function registerOperations(app: TypedApp, routes: OperationRoutes): void {
  app.get(
    '/livez',
    {
      config: { scope: 'public' },
      logLevel: 'error',
      schema: { tags: ['operations'], operationId: 'live', summary: 'Check that the process runs', response: { 200: Live } },
    },
    async () => ({ status: 'live' as const }),
  );
  app.get(
    '/readyz',
    {
      config: { scope: 'public' },
      logLevel: 'error',
      schema: {
        tags: ['operations'],
        operationId: 'ready',
        summary: 'Check that the catalogue is loaded and the model answers',
        description: '503 while the catalogue is loading. A degraded server is ready: another one would read the same disk.',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const isReady = routes.isReady();
      if (!isReady) void reply.status(503).header('retry-after', '1');
      const { problems } = routes.storage;
      const degraded = problems.map(({ fault, detail, since }) => ({ reason: fault, detail, since: new Date(since).toISOString() }));
      const status: 'starting' | 'degraded' | 'ready' = !isReady ? 'starting' : degraded.length > 0 ? 'degraded' : 'ready';
      return { status, items: await routes.countItems(), ...(degraded.length > 0 && { degraded }) };
    },
  );
  app.get(
    '/metrics',
    {
      config: { scope: 'metrics' },
      logLevel: 'error',
      schema: {
        tags: ['operations'],
        operationId: 'metrics',
        summary: 'Get metrics in Prometheus’ exposition format',
        response: { 200: Type.String() },
        produces: [EXPOSITION_TYPE],
      },
    },
    async (_request, reply) => {
      void reply.header('content-type', EXPOSITION_TYPE);
      return routes.scrape();
    },
  );
}
