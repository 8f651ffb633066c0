import assert from 'node:assert/strict';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { InjectOptions } from 'fastify';
import type { FieldProblem } from '../src/client/problem.js';
import type {
  Attribute,
  BatchedRecommendations,
  ErasedUser,
  EventsAnswer,
  History,
  Item,
  ItemMap,
  ItemPage,
  ItemPlaces,
  ItemReceipt,
  ItemResult,
  Model,
  Models,
  QualityReport,
  Recommendations,
  ServedRecommendations,
  Snapshot,
  Status,
  Swap,
} from '../src/client/types.js';
import type { TypedApp } from '../src/http/typed-app.js';

/** Problem details of RFC 9457, as this server writes them. */
export interface Problem {
  type: string;
  status: number;
  code: string;
  detail: string;
  request_id: string;
  /** Empty where no field is named. */
  errors: FieldProblem[];
}

export interface Answer<Body> {
  status: number;
  headers: OutgoingHttpHeaders;
  /** The body as it was sent. */
  text: string;
  /** Parsed, for answers that are no refusal. */
  readonly body: Body;
  /** Parsed, for refusals. */
  readonly problem: Problem;
}

interface Extra {
  query?: string | Record<string, string | number>;
  headers?: IncomingHttpHeaders;
}

const JSON_BODY = { 'content-type': 'application/json' };
export const NDJSON = { 'content-type': 'application/x-ndjson' };

const withQuery = (path: string, query: Extra['query'] = ''): string => {
  const text =
    typeof query === 'string'
      ? query
      : new URLSearchParams(Object.entries(query).map(([key, value]): [string, string] => [key, String(value)])).toString();
  return text === '' ? path : `${path}?${text}`;
};

/**
 * The API of a server, one method an operation, under the names of the API description. Bodies of requests are loosely typed on purpose:
 * tests also send what the API forbids.
 */
export function api({ app }: { app: TypedApp }) {
  const raw = async <Body = unknown>(request: InjectOptions | string): Promise<Answer<Body>> => {
    const { statusCode, headers, body } = await app.inject(request);
    return {
      status: statusCode,
      headers,
      text: body,
      get body() {
        return JSON.parse(body) as Body; // by the server's own schema
      },
      get problem() {
        return { errors: [], ...(JSON.parse(body) as Omit<Problem, 'errors'>) };
      },
    };
  };
  const send =
    (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE') =>
    <Body>(path: string, payload: unknown, { query, headers = {} }: Extra = {}): Promise<Answer<Body>> =>
      raw({
        method,
        url: withQuery(path, query),
        ...(payload !== undefined && { payload: payload as object }),
        // text is sent as it is, malformed too
        headers: { ...(typeof payload === 'string' && JSON_BODY), ...headers },
      });
  const [get, post, put, patch, remove] = [send('GET'), send('POST'), send('PUT'), send('PATCH'), send('DELETE')];
  const attributePath = (name: string): string => `/v1/attributes/${encodeURIComponent(name)}`;
  const itemPath = (itemId: string): string => `/v1/items/${encodeURIComponent(itemId)}`;

  return {
    /** Any request, malformed ones and other routes included; a text is the path of a GET. */
    raw,

    recommend: (request: object | string, extra?: Extra) => post<Recommendations>('/v1/recommendations', request, extra),
    recommendForUser: (userId: string, query?: Extra['query']) =>
      get<Recommendations>(`/v1/users/${userId}/recommendations`, undefined, { ...(query !== undefined && { query }) }),
    recommendBatch: (requests: readonly object[]) => post<{ results: BatchedRecommendations[] }>('/v1/recommendations/batch', { requests }),
    replayRecommendation: (id: string) => get<ServedRecommendations>(`/v1/recommendations/${id}`, undefined),
    similarItems: (itemId: string, request: object = {}) => post<Recommendations>(`${itemPath(itemId)}/similar`, request),

    putItem: (itemId: string, fields: object = {}, extra?: Extra) => put<ItemReceipt>(itemPath(itemId), fields, extra),
    patchItem: (itemId: string, change: object, extra?: Extra) => patch<ItemReceipt>(itemPath(itemId), change, extra),
    deleteItem: (itemId: string, extra?: Extra) => remove<ItemReceipt>(itemPath(itemId), undefined, extra),
    getItem: (itemId: string) => get<Item>(itemPath(itemId), undefined),
    listItems: (query?: Extra['query']) => get<ItemPage>('/v1/items', undefined, { ...(query !== undefined && { query }) }),
    putItems: (items: readonly object[], extra?: Extra) => post<{ results: ItemResult[] }>('/v1/items/batch', { items }, extra),
    /** Items as NDJSON; `accept` that too, and `rowsOf` reads the answer. */
    streamItems: (lines: string | Buffer | Readable, { headers = {}, ...extra }: Extra = {}) =>
      post<{ results: ItemResult[] }>('/v1/items/batch', lines, { ...extra, headers: { ...NDJSON, ...headers } }),

    listAttributes: () => get<{ attributes: Attribute[] }>('/v1/attributes', undefined),
    getAttribute: (name: string) => get<Attribute>(attributePath(name), undefined),
    declareAttribute: (name: string, type: unknown, extra?: Extra) => put<Attribute>(attributePath(name), { type }, extra),
    deleteAttribute: (name: string, extra?: Extra) => remove<Attribute>(attributePath(name), undefined, extra),

    sendEvents: (events: readonly object[], extra?: Extra) => post<EventsAnswer>('/v1/events', { events }, extra),
    getHistory: (userId: string, query?: Extra['query']) =>
      get<History>(`/v1/users/${userId}/history`, undefined, { ...(query !== undefined && { query }) }),
    eraseUser: (userId: string) => remove<ErasedUser>(`/v1/users/${userId}`, undefined),

    getMap: (query?: Extra['query']) => get<ItemMap>('/v1/map', undefined, { ...(query !== undefined && { query }) }),
    placeItems: (itemIds: readonly string[]) => post<ItemPlaces>('/v1/map/positions', { item_ids: itemIds }),

    listModels: () => get<Models>('/v1/models', undefined),
    registerModel: (folder: string) => post<Model>('/v1/models', { folder }),
    activateModel: (fingerprint: string) => post<Swap>(`/v1/models/${fingerprint}/activate`, undefined),

    reportQuality: (query?: Extra['query']) => get<QualityReport>('/v1/reports/quality', undefined, { ...(query !== undefined && { query }) }),
    listSnapshots: () => get<{ snapshots: Snapshot[] }>('/v1/snapshots', undefined),
    writeSnapshot: () => post<Snapshot>('/v1/snapshots', undefined),

    ready: () => get<Status>('/readyz', undefined),
    /** In Prometheus' text format. */
    metrics: async (): Promise<string> => (await get('/metrics', undefined)).text,
  };
}

export type Api = ReturnType<typeof api>;

/** What is answered, which must not be a refusal. */
export async function bodyOf<Body>(answer: Promise<Answer<Body>>): Promise<Body> {
  const { status, text, body } = await answer;
  assert.ok(status < 300, text);
  return body;
}

/** Status and code of a refusal. */
export async function codeOf(answer: Answer<unknown> | Promise<Answer<unknown>>): Promise<[status: number, code: string]> {
  const { status, problem } = await answer;
  return [status, problem.code];
}

/** Status of an answer, and which fields it says are wrong. */
export async function pointersOf(answer: Answer<unknown> | Promise<Answer<unknown>>): Promise<[status: number, ...pointers: string[]]> {
  const { status, problem } = await answer;
  return [status, ...problem.errors.map(({ pointer }) => pointer)];
}

export const idsOf = ({ items }: { items: readonly { item_id: string }[] }): string[] => items.map(({ item_id: id }) => id);

/** The results of a batch that was answered line by line. */
export const rowsOf = (text: string): ItemResult[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ItemResult);
