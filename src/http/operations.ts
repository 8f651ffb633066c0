import { statfs } from 'node:fs/promises';
import { Type } from 'typebox';
import { PACKAGE_VERSION } from '../package-root.js';
import type { Services } from '../composition/embedded.js';
import type { TypedApp } from './typed-app.js';

const Status = Type.Object({ status: Type.String(), items: Type.Optional(Type.Integer()) });

export function registerOperations(app: TypedApp, services: Services): void {
  const { metrics, config } = services;
  metrics.build.set({ version: PACKAGE_VERSION }, 1);
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
        summary: 'Get metrics in Prometheus’ exposition format',
        response: { 200: Type.String() },
        produces: [metrics.registry.contentType],
      },
    },
    async (_request, reply) => {
      metrics.ready.set(services.isReady() ? 1 : 0);
      const { bavail, blocks, bsize } = await statfs(config.dataDir);
      metrics.dataAvailable.set(bavail * bsize);
      metrics.dataSize.set(blocks * bsize);
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
