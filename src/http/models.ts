import { isAbsolute } from 'node:path';
import { Type, type Static } from 'typebox';
import { ArtifactError, invalidRequest } from '../errors.js';
import type { Generations } from '../generations/generations.js';
import { describeModel, type KnownModel } from '../generations/known-models.js';
import type { Swap } from '../generations/swap.js';
import { fromTime } from '../ingest/item-input.js';
import type { ModelStore } from '../store/models.js';
import { requireReady, type Readiness } from './readiness.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Nullable = (type: string) => Type.Unsafe<never>({ type: [type, 'null'] });

const Model = Type.Object({
  fingerprint: Type.String(),
  name: Type.String(),
  version: Type.String(),
  variant: Type.String(),
  active: Type.Boolean(),
  state: Type.String({ description: 'active | standby (a switch is immediate) | registered (a switch fuses the catalogue first)' }),
  dim: Type.Integer(),
  max_history: Type.Integer(),
  layers: Type.Integer(),
  layer_names: Type.Array(Type.String()),
  layer_weights: Type.Array(Type.Number()),
  hidden_dim: Type.Integer(),
  similarity: Type.String(),
  registered_at: Type.String(),
  items: Type.Optional(Type.Record(Type.String(), Type.Integer())),
  provider: Type.Optional(Type.String()),
  user_tower_provider: Type.Optional(Type.String()),
  training: Type.Record(Type.String(), Type.Unknown()),
});

const SwapSchema = Type.Object({
  fingerprint: Type.String(),
  state: Type.String({ description: 'verifying | fusing | checking | active | failed' }),
  items_done: Type.Integer(),
  items_total: Type.Integer(),
  recall: Type.Unsafe<number | null>({ ...Nullable('number'), description: 'recall@20 of the new index against exact search.' }),
  error: Type.Unsafe<string | null>(Nullable('string')),
  started_at: Type.String(),
  finished_at: Type.Unsafe<string | null>(Nullable('string')),
});

const presentSwap = ({ started_at: started, finished_at: finished, ...swap }: Swap): Static<typeof SwapSchema> => ({
  ...swap,
  started_at: new Date(started).toISOString(),
  finished_at: fromTime(finished),
});

function presentModel({ record, manifest, state, loaded }: KnownModel): Static<typeof Model> {
  const { layers, training, name, version, variant, dim, max_history, hidden_dim, similarity, layer_weights } = manifest;
  return {
    fingerprint: record.fingerprint,
    active: state === 'active',
    state,
    ...{ name, version, variant, dim, max_history, hidden_dim, similarity, layer_weights },
    layers: layers.count,
    layer_names: layers.names,
    registered_at: new Date(record.registered_at).toISOString(),
    ...(loaded !== null && {
      items: { ...loaded.status.states, total: loaded.status.size },
      provider: loaded.itemTower,
      user_tower_provider: loaded.userTower,
    }),
    training: training ?? {},
  };
}

export interface ModelRoutes extends Readiness {
  models: Pick<ModelStore, 'list'>;
  generations: Pick<Generations, 'current' | 'standby' | 'swap' | 'register' | 'activate'>;
}

export function registerModels(app: TypedApp, routes: ModelRoutes): void {
  app.get(
    '/v1/models',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['models'],
        operationId: 'listModels',
        summary: 'List registered models and the last or running swap',
        response: {
          200: Type.Object({ models: Type.Array(Model), swap: Type.Union([SwapSchema, Type.Null()]) }),
          ...problemResponses,
        },
      },
    },
    async () => {
      const records = await routes.models.list();
      const models = await Promise.all(records.map((record) => describeModel(record, routes.generations)));
      const { swap } = routes.generations;
      return { models: models.map(presentModel), swap: swap === null ? null : presentSwap(swap) };
    },
  );

  app.post(
    '/v1/models',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['models'],
        operationId: 'registerModel',
        summary: 'Register an artifact from a folder on the server; verifies its digests',
        body: Type.Object(
          { folder: Type.String({ minLength: 1, maxLength: 4096, description: 'Absolute path of an artifact or of a training run.' }) },
          { additionalProperties: false },
        ),
        response: { 201: Model, ...problemResponses },
      },
    },
    async ({ body }, reply) => {
      if (!isAbsolute(body.folder)) throw invalidRequest([{ pointer: '/folder', detail: 'must be an absolute path' }]);
      try {
        const record = await routes.generations.register(body.folder);
        void reply.status(201);
        return presentModel(await describeModel(record, routes.generations));
      } catch (error) {
        if (error instanceof ArtifactError) throw invalidRequest([{ pointer: '/folder', detail: error.message }], 'the artifact must not be served');
        throw error;
      }
    },
  );

  app.post(
    '/v1/models/:fingerprint/activate',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['models'],
        operationId: 'activateModel',
        summary: 'Switch to a registered model; 200 when it serves already, 202 while it is prepared (GET /v1/models has the progress)',
        description:
          'The server fuses the catalogue in the background while requests and writes continue, checks the index against exact search, and switches ' +
          'between two requests. After a failure the serving model stays. The previous model stays loaded: switching back is immediate, and ends a ' +
          'preparation that is running.',
        params: Type.Object({ fingerprint: Type.String({ minLength: 1, maxLength: 128 }) }),
        response: { 200: SwapSchema, 202: SwapSchema, ...problemResponses },
      },
    },
    async ({ params }, reply) => {
      requireReady(routes);
      const swap = await routes.generations.activate(params.fingerprint);
      void reply.status(swap.state === 'active' ? 200 : 202);
      return presentSwap(swap);
    },
  );
}
