import { Registry } from 'prom-client';
import { Type } from 'typebox';
import type { TypedApp } from './typed-app.js';

/** Prometheus' text format. */
const EXPOSITION_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

const Status = Type.Object({ status: Type.String(), items: Type.Optional(Type.Integer()) });

export interface OperationRoutes {
  isReady: () => boolean;
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
      schema: { tags: ['operations'], operationId: 'live', summary: 'Check that the process runs', response: { 200: Status } },
    },
    async () => ({ status: 'live' }),
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
        response: { 200: Status, 503: Status },
      },
    },
    async (_request, reply) => {
      const isReady = routes.isReady();
      if (!isReady) void reply.status(503).header('retry-after', '1');
      return { status: isReady ? 'ready' : 'starting', items: await routes.countItems() };
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
