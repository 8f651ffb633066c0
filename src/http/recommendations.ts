import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type, type Static } from 'typebox';
import { invalidRequest, notFound } from '../errors.js';
import { STAGES, type RecommendAnswer, type Timings } from '../recommend/answer.js';
import type { Recommend } from '../recommend/recommender.js';
import type { RecommendRequest } from '../recommend/request.js';
import type { ServedLog } from '../store/served-log.js';
import { answerJson, numberJson } from './answer-json.js';
import { MIB, type BodyLimits } from './body/limits.js';
import { KnownId } from '../ingest/item-input.js';
import { problemResponses, toReelfuseError } from './problem.js';
import { presentAnswer, presentItems, servedEntryOf, type LogServed } from './recommendation-answer.js';
import { Answer, RecommendBody, RecommendQuery, Replay, SimilarBody, bodyOfQuery, toRequest } from './recommendation-schema.js';
import type { TypedApp } from './typed-app.js';

const MAX_BATCH = 100;
/** 4,000 ids of 128 characters and filters of 65,536. */
const REQUEST_BODY: BodyLimits = { maxBytes: 2 * MIB, maxValues: 25_000 };
const BATCH_BODY: BodyLimits = { maxBytes: 16 * MIB, maxValues: 200_000, rows: REQUEST_BODY };
const JSON_TYPE = 'application/json; charset=utf-8';

const BatchBody = Type.Object({ requests: Type.Array(RecommendBody, { minItems: 1, maxItems: MAX_BATCH }) }, { additionalProperties: false });
const BatchResult = Type.Object({
  status: Type.Integer(),
  answer: Type.Optional(Answer),
  error: Type.Optional(
    Type.Object({
      code: Type.String(),
      detail: Type.String(),
      retry_after: Type.Optional(Type.Number({ description: 'Seconds after which a retry can succeed.' })),
      errors: Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() })),
    }),
  ),
});
type BatchResult = Static<typeof BatchResult>;
const BatchAnswer = Type.Object({ results: Type.Array(BatchResult) });

export interface RecommendationRoutes {
  recommend: Recommend;
  logServed: LogServed;
  /** Null: no answers are kept. */
  servedLog: Pick<ServedLog, 'read'> | null;
}

export function registerRecommendations(app: TypedApp, routes: RecommendationRoutes): void {
  const present = (result: RecommendAnswer, request: RecommendRequest, fields: readonly string[]): Answer => {
    const items = presentItems(result);
    return presentAnswer(result, routes.logServed(servedEntryOf(result, request, items)), items, fields);
  };
  const reply = async (request: RecommendRequest, fields: readonly string[], http: FastifyRequest, response: FastifyReply): Promise<Answer> => {
    const result = await routes.recommend(request);
    const { arm, timings } = result;
    if (arm !== null) http.logged = { ...http.logged, experiment: arm.name, arm: arm.arm };
    void response.header('server-timing', serverTiming(timings)).type(JSON_TYPE).serializer(answerJson);
    return present(result, request, fields);
  };

  app.post(
    '/v1/recommendations',
    {
      config: { scope: 'recommend', body: REQUEST_BODY },
      schema: {
        tags: ['recommendations'],
        operationId: 'recommend',
        summary: 'Recommend the next k items for a user, a history, examples, or all of them',
        body: RecommendBody,
        response: { 200: Answer, ...problemResponses },
      },
    },
    (request, response) => reply(toRequest(request.body, null), request.body.fields ?? [], request, response),
  );

  app.get(
    '/v1/users/:user_id/recommendations',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['recommendations'],
        operationId: 'recommendForUser',
        summary: 'Recommend by query string',
        description:
          'The common options, for a quick look and for caches. A cursor grows by 8 characters with each item shown, and many proxies refuse a URL ' +
          'of more than 8 kB: long sessions use POST.',
        params: Type.Object({ user_id: KnownId }),
        querystring: RecommendQuery,
        response: { 200: Answer, ...problemResponses },
      },
    },
    (request, response) => {
      const { params, query } = request;
      return reply(toRequest(bodyOfQuery(params.user_id, query), null), query.fields?.split(',') ?? [], request, response);
    },
  );

  app.post(
    '/v1/items/:item_id/similar',
    {
      config: { scope: 'recommend', body: REQUEST_BODY },
      schema: {
        tags: ['recommendations'],
        operationId: 'similarItems',
        summary: 'Recommend the items nearest to one item, by fused vectors; the score is the similarity before the temperature',
        params: Type.Object({ item_id: KnownId }),
        body: SimilarBody,
        response: { 200: Answer, ...problemResponses },
      },
    },
    (request, response) => reply(toRequest(request.body, request.params.item_id), request.body.fields ?? [], request, response),
  );

  app.post(
    '/v1/recommendations/batch',
    {
      config: { scope: 'recommend', body: BATCH_BODY },
      schema: {
        tags: ['recommendations'],
        operationId: 'recommendBatch',
        summary: 'Answer up to 100 requests, for feeds and emails; one result a request, in order',
        description:
          '200 when all succeeded, else 207. Pointers of an error are relative to its request. Answers name their experiment arms; the log line of a ' +
          'batch does not.',
        body: BatchBody,
        response: { 200: BatchAnswer, 207: BatchAnswer, ...problemResponses },
      },
    },
    async (request, response) => {
      const results = await Promise.all(
        request.body.requests.map(async (body): Promise<BatchResult> => {
          try {
            if (body.explain === 'layers') throw invalidRequest([{ pointer: '/explain', detail: 'layers are not explained in a batch' }]);
            const asked = toRequest(body, null);
            return { status: 200, answer: present(await routes.recommend(asked), asked, body.fields ?? []) };
          } catch (error) {
            return failed(error, request);
          }
        }),
      );
      void response.status(results.some(({ status }) => status !== 200) ? 207 : 200);
      return { results };
    },
  );

  app.get(
    '/v1/recommendations/:recommendation_id',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['recommendations'],
        operationId: 'replayRecommendation',
        summary: 'Replay what was served under this id, by which model and why; answers are kept for REELFUSE_SERVED_DAYS',
        params: Type.Object({ recommendation_id: KnownId }),
        response: { 200: Replay, ...problemResponses },
      },
    },
    async ({ params }) => {
      const id = params.recommendation_id;
      const entry = (await routes.servedLog?.read([id]))?.get(id);
      if (entry === undefined) throw notFound('recommendation', id);
      const { at, fingerprint, version, ...rest } = entry;
      return { recommendation_id: id, served_at: new Date(at).toISOString(), model: { fingerprint, version }, ...rest };
    },
  );
}

function failed(error: unknown, http: FastifyRequest): BatchResult {
  const { status, code, message, errors, retryAfter } = toReelfuseError(error as Error & { code: string }); // an error of another kind has no code
  if (code === 'internal_error') http.log.error({ err: error, request_id: http.id }, 'a request of a batch failed');
  return { status, error: { code, detail: message, errors, ...(retryAfter !== undefined && { retry_after: retryAfter }) } };
}

function serverTiming(timings: Timings): string {
  let text = '';
  for (const stage of STAGES) text += `${text === '' ? '' : ', '}${stage};dur=${numberJson(timings[stage])}`;
  return text;
}
