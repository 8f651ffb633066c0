import { randomUUID } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import { Type, type Static } from 'typebox';
import { Id } from '../catalog/item-input.js';
import { invalidRequest } from '../errors.js';
import { recommend } from '../recommend/pipeline.js';
import { findSimilar } from '../recommend/similar.js';
import type { RecommendAnswer, RecommendRequest } from '../recommend/request.js';
import type { Services } from '../services.js';
import type { TypedApp } from './typed-app.js';
import { presentFields, Field, FieldNames } from './fields.js';
import { problemResponses } from './problem.js';

const K = Type.Integer({ minimum: 1, maximum: 500, default: 20 });
const Flag = Type.Boolean({ default: false });

const Body = Type.Object(
  {
    user_id: Type.Optional(Id),
    history: Type.Optional(Type.Array(Id, { maxItems: 1000, description: 'oldest first; appended to the stored history of user_id' })),
    k: Type.Optional(K),
    exclude: Type.Optional(Type.Array(Id, { maxItems: 1000, description: 'never returned' })),
    exact: Type.Optional(Type.Boolean({ default: false, description: 'score the whole catalogue instead of asking HNSW' })),
    explain: Type.Optional(Type.Boolean({ default: false, description: 'adds leave-one-out contributions of history items and ID shares' })),
    fields: Type.Optional(Type.Array(Field, { maxItems: 32, description: 'adds these fields of each item' })),
  },
  { additionalProperties: false },
);

const Query = Type.Object(
  { k: Type.Optional(K), exact: Type.Optional(Flag), explain: Type.Optional(Flag), fields: Type.Optional(FieldNames) },
  { additionalProperties: false },
);

const Nullable = (schema: object) => Type.Unsafe<unknown>({ anyOf: [schema, { type: 'null' }] });

const Answer = Type.Object({
  recommendation_id: Type.String(),
  items: Type.Array(
    Type.Object({
      item_id: Type.String(),
      score: Type.Number(),
      reason: Type.String({ description: 'history | popular | similar' }),
      item: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
      explain: Type.Optional(
        Type.Object({
          id_share: Nullable({ type: 'number' }),
          history: Type.Array(Type.Object({ item_id: Type.String(), contribution: Type.Number() })),
          moved_by: Type.Array(Type.String()),
        }),
      ),
    }),
  ),
  next_cursor: Type.Null(),
  fallback: Nullable({ type: 'string', enum: ['no_history', 'unknown_history', 'starting'] }),
  short_reason: Nullable({ type: 'string', enum: ['catalogue_exhausted'] }),
  model: Type.Object({ fingerprint: Type.String(), version: Type.String() }),
  sequence: Type.Integer({ description: 'newest change that the answer knows of' }),
  layer_weights: Type.Optional(Type.Array(Type.Number())),
  timings_ms: Type.Object({
    queue: Type.Number(),
    history: Type.Number(),
    user_tower: Type.Number(),
    search: Type.Number(),
    rules: Type.Number(),
    total: Type.Number(),
  }),
});

export function registerRecommendations(app: TypedApp, services: Services): void {
  const answer = async (request: RecommendRequest, fields: readonly string[], reply: FastifyReply) => {
    const { store, popularity, isReady, generation } = services; // one generation for the whole answer
    const context = { store, popularity, isReady: () => isReady(), generation };
    const result = await recommend(context, request);
    observe(services, result, reply);
    return present(context, result, fields);
  };

  app.post(
    '/v1/recommendations',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['recommendations'],
        summary: 'The next k items for a user, a history, or both',
        body: Body,
        response: { 200: Answer, ...problemResponses },
      },
    },
    async ({ body }, reply) => {
      if (body.user_id === undefined && body.history === undefined) {
        throw invalidRequest([{ pointer: '/user_id', detail: 'is required when there is no history' }]);
      }
      return answer(toRequest(body), body.fields ?? [], reply);
    },
  );

  app.get(
    '/v1/users/:user_id/recommendations',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['recommendations'],
        summary: 'The same by query string',
        params: Type.Object({ user_id: Id }),
        querystring: Query,
        response: { 200: Answer, ...problemResponses },
      },
    },
    async ({ params, query }, reply) => {
      const { fields, ...options } = query;
      return answer(toRequest({ user_id: params.user_id, ...options }), fields?.split(',') ?? [], reply);
    },
  );
}

const SimilarBody = Type.Object(
  {
    k: Body.properties.k,
    exclude: Body.properties.exclude,
    exact: Body.properties.exact,
    fields: Body.properties.fields,
  },
  { additionalProperties: false },
);

export function registerSimilar(app: TypedApp, services: Services): void {
  app.post(
    '/v1/items/:item_id/similar',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['recommendations'],
        summary: 'The items nearest to one item, by fused vectors',
        params: Type.Object({ item_id: Id }),
        body: SimilarBody,
        response: { 200: Answer, ...problemResponses },
      },
    },
    async ({ params, body }, reply) => {
      const { generation, store } = services;
      const { k = 20, exclude = [], exact = false, fields = [] } = body;
      const found = await findSimilar(generation, { itemId: params.item_id, k, exclude, exact });
      const answer: RecommendAnswer = { ...found, explanations: null, fallback: null };
      observe(services, answer, reply);
      return present({ generation, store }, answer, fields);
    },
  );
}

const toRequest = (body: Static<typeof Body>): RecommendRequest => ({
  userId: body.user_id ?? null,
  history: body.history ?? [],
  k: body.k ?? 20,
  exclude: body.exclude ?? [],
  exact: body.exact ?? false,
  explain: body.explain ?? false,
});

function observe({ metrics }: Services, { timings, fallback }: RecommendAnswer, reply: FastifyReply): void {
  if (fallback !== null) metrics.fallbacks.inc({ reason: fallback });
  const header: string[] = [];
  for (const [stage, ms] of Object.entries(timings)) {
    metrics.stageSeconds.observe({ stage }, ms / 1000);
    header.push(`${stage};dur=${ms.toFixed(3)}`);
  }
  void reply.header('server-timing', header.join(', '));
}

function present(
  { generation, store }: Pick<Services, 'generation' | 'store'>,
  result: RecommendAnswer,
  fields: readonly string[],
): Static<typeof Answer> {
  const { artifact } = generation;
  return {
    recommendation_id: `rec_${randomUUID().replaceAll('-', '')}`,
    items: result.items.map(({ item, score, reason }, rank) => {
      const explanation = result.explanations?.[rank];
      return {
        item_id: item.fields.item_id,
        score,
        reason,
        ...(fields.length > 0 && { item: presentFields(item.fields, fields) }),
        ...(explanation !== undefined && { explain: explanation }),
      };
    }),
    next_cursor: null,
    fallback: result.fallback,
    short_reason: result.shortReason,
    model: { fingerprint: artifact.fingerprint, version: artifact.manifest.version },
    sequence: store.sequence(),
    ...(result.explanations !== null && { layer_weights: artifact.manifest.layer_weights }),
    timings_ms: result.timings,
  };
}
