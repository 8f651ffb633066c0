import { Type } from 'typebox';
import type { Services } from '../services.js';
import type { TypedApp } from './typed-app.js';

const Status = Type.Object({ status: Type.String(), items: Type.Optional(Type.Integer()) });

export function registerOperations(app: TypedApp, services: Services): void {
  const { metrics } = services;
  app.get(
    '/livez',
    {
      config: { scope: 'public' },
      logLevel: 'error',
      schema: { tags: ['operations'], operationId: 'live', summary: 'The process runs', response: { 200: Status } },
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
        summary: 'The catalogue is loaded and the model answers',
        response: { 200: Status, 503: Status },
      },
    },
    async (_request, reply) => {
      const isReady = services.isReady();
      if (!isReady) void reply.status(503).header('retry-after', '1');
      return { status: isReady ? 'ready' : 'starting', items: services.generation.catalogue.size };
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
        summary: 'Prometheus exposition',
        response: { 200: Type.String() },
        produces: [metrics.registry.contentType],
      },
    },
    async (_request, reply) => {
      for (const [state, count] of Object.entries(services.generation.catalogue.counts())) metrics.items.set({ state }, count);
      for (const [reason, count] of Object.entries(await services.generation.catalogue.unavailable(Date.now())))
        metrics.itemsUnavailable.set({ reason }, count);
      const [snapshot] = services.snapshots.list();
      if (snapshot !== undefined) metrics.snapshotAge.set((Date.now() - snapshot.created_at) / 1000);
      void reply.header('content-type', metrics.registry.contentType);
      return metrics.registry.metrics();
    },
  );
}
