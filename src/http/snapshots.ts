import { Type, type Static } from 'typebox';
import type { Snapshot, Snapshots } from '../maintenance/snapshots/snapshots.js';
import { problemResponses } from './problem.js';
import { requireReady, type Readiness } from './readiness.js';
import type { TypedApp } from './typed-app.js';

const SnapshotSchema = Type.Object({
  name: Type.String(),
  fingerprint: Type.String({ description: 'Fingerprint of the model whose index it holds.' }),
  sequence: Type.Integer({ description: 'Every item change up to this one is in the snapshot.' }),
  created_at: Type.String(),
  items: Type.Integer(),
  bytes: Type.Integer(),
});

const present = ({ created_at: created, ...snapshot }: Snapshot): Static<typeof SnapshotSchema> => ({
  ...snapshot,
  created_at: new Date(created).toISOString(),
});

export interface SnapshotRoutes extends Readiness {
  snapshots: Pick<Snapshots, 'list' | 'write'>;
}

export function registerSnapshots(app: TypedApp, routes: SnapshotRoutes): void {
  app.get(
    '/v1/snapshots',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['operations'],
        operationId: 'listSnapshots',
        summary: 'List snapshots of the index, newest first',
        response: { 200: Type.Object({ snapshots: Type.Array(SnapshotSchema) }), ...problemResponses },
      },
    },
    async () => ({ snapshots: routes.snapshots.list().map(present) }),
  );

  app.post(
    '/v1/snapshots',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['operations'],
        operationId: 'writeSnapshot',
        summary: 'Write a snapshot of the index now; answers when it is on the disk',
        description: 'Reads and writes continue. A restart loads the newest intact snapshot and replays what has changed since.',
        response: { 201: SnapshotSchema, ...problemResponses },
      },
    },
    async (_request, reply) => {
      requireReady(routes);
      const snapshot = await routes.snapshots.write();
      void reply.status(201);
      return present(snapshot);
    },
  );
}
