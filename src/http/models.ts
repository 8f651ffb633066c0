import { Type } from 'typebox';
import type { Services } from '../services.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Model = Type.Object({
  fingerprint: Type.String(),
  name: Type.String(),
  version: Type.String(),
  variant: Type.String(),
  active: Type.Boolean(),
  dim: Type.Integer(),
  max_history: Type.Integer(),
  layers: Type.Integer(),
  layer_weights: Type.Array(Type.Number()),
  hidden_dim: Type.Integer(),
  similarity: Type.String(),
  items: Type.Record(Type.String(), Type.Integer()),
  provider: Type.String(),
  user_tower_provider: Type.String(),
  training: Type.Record(Type.String(), Type.Unknown()),
});

export function registerModels(app: TypedApp, { generation }: Services): void {
  app.get(
    '/v1/models',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['models'],
        summary: 'The models that this server knows',
        response: { 200: Type.Object({ models: Type.Array(Model) }), ...problemResponses },
      },
    },
    async () => {
      const { artifact, catalogue, fuser, pool } = generation;
      const { layers, training, name, version, variant, dim, max_history, hidden_dim, similarity, layer_weights } = artifact.manifest;
      const items = { ...catalogue.counts(), total: catalogue.size };
      return {
        models: [
          {
            fingerprint: artifact.fingerprint,
            active: true,
            ...{ name, version, variant, dim, max_history, hidden_dim, similarity, layer_weights },
            layers: layers.count,
            items,
            provider: fuser.provider,
            user_tower_provider: pool.provider,
            training: training ?? {},
          },
        ],
      };
    },
  );
}
