import { Type } from 'typebox';
import type { ReplicaStore } from '../store/replicas.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Time = Type.String({ format: 'date-time' });

const ReplicaSchema = Type.Object({
  replica_id: Type.String(),
  name: Type.String({ description: 'Host and port.' }),
  version: Type.String(),
  fingerprint: Type.String({ description: 'Of the model that serves there.' }),
  items: Type.Integer(),
  applied: Type.Integer({ description: 'Every change up to this sequence is in effect there.' }),
  behind: Type.Integer({ description: 'Difference between the newest change that this server knows and `applied`; sequences have gaps.' }),
  lease: Type.Enum(['held', 'ended', 'none'], {
    description: 'ended: it does not serve, or serves stale answers. none: a server alone needs no lease.',
  }),
  leased_until: Type.Union([Time, Type.Null()]),
  started_at: Time,
});

export interface ReplicaRoutes {
  replicas: Pick<ReplicaStore, 'list'>;
  /** The newest change that this server knows. */
  sequence: () => number;
}

export function registerReplicas(app: TypedApp, routes: ReplicaRoutes): void {
  app.get(
    '/v1/replicas',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['operations'],
        operationId: 'listReplicas',
        summary: 'List the servers over the same database, oldest first',
        description: 'A server that has died is listed for ten minutes. With SQLite there is one.',
        response: { 200: Type.Object({ sequence: Type.Integer(), replicas: Type.Array(ReplicaSchema) }), ...problemResponses },
      },
    },
    async () => {
      const list = await routes.replicas.list();
      const newest = routes.sequence();
      return {
        sequence: newest,
        replicas: list.map(({ leased_until: until, started_at: started, applied, ...rest }) => ({
          ...rest,
          applied,
          behind: Math.max(0, newest - applied),
          leased_until: until === null ? null : new Date(until).toISOString(),
          started_at: new Date(started).toISOString(),
        })),
      };
    },
  );
}
