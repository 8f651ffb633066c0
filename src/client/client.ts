import { inBodies, type ItemBodyLimits, type ItemLine } from './item-bodies.js';
import { jsonOf, rowOf, type Row } from './json.js';
import { newId } from './new-id.js';
import { ReelfuseProblem } from './problem.js';
import { createTransport, type Call, type CallOptions, type ClientOptions } from './transport.js';
import type {
  Attribute,
  AttributeType,
  BatchedRecommendations,
  ErasedUser,
  EventInput,
  EventsAnswer,
  History,
  Item,
  ItemChange,
  ItemFields,
  ItemInput,
  ItemMap,
  ItemPage,
  ItemPlaces,
  ItemQuery,
  ItemReceipt,
  ItemResult,
  Model,
  Models,
  QualityReport,
  RecommendQuery,
  RecommendRequest,
  Recommendations,
  ServedRecommendations,
  SimilarRequest,
  Replicas,
  Snapshot,
  Status,
  Swap,
  UserPage,
} from './types.js';

export { ReelfuseProblem, ReelfuseUnreachable, type FieldProblem } from './problem.js';
export type { CallOptions, ClientOptions, RetryRules } from './transport.js';
export type * from './types.js';

/** When a write may happen; else it is refused by 412 `precondition_failed`. */
export interface WriteOptions extends CallOptions {
  /** `stored`: answered when durable, with the fields in effect; searchable soon after. */
  wait?: 'searchable' | 'stored';
  /** Only while the item is at this `sequence`, or is there at all. */
  ifMatch?: number | 'any';
  /** Only when the item is not there. */
  ifAbsent?: boolean;
}

export interface BatchOptions extends CallOptions {
  wait?: 'searchable' | 'stored';
  /** The same one for the same rows; without it one is made, which guards the retries of this call. */
  idempotencyKey?: string;
}

export interface ImportOptions extends CallOptions, Partial<ItemBodyLimits> {
  wait?: 'searchable' | 'stored';
}

/** The result of a row, counted from 0 over everything that was given. */
export type ImportedRow = ItemResult & { row: number };

/** @throws RangeError for `.` and `..`, which URLs drop from a path: the call would go elsewhere */
function segment(text: string): string {
  if (text === '.' || text === '..') throw new RangeError(`${JSON.stringify(text)} cannot be named in a URL`);
  return encodeURIComponent(text);
}
const optional = <Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });

/** The result of a row that could not be sent, with the reason; any other as it is. */
function withReason(result: ItemResult, row: Row<ItemInput> | undefined): ItemResult {
  if (row?.problem == null || result.error === undefined) return result;
  const id = (row.given as Partial<ItemInput> | undefined)?.item_id;
  const { pointer, detail } = row.problem;
  return { ...(typeof id === 'string' && { item_id: id }), ...result, error: { ...result.error, pointer: result.error.pointer + pointer, detail } };
}

/**
 * A client of one server. Every call that is refused by 429 or 503 is sent again as `Retry-After` says, every call that is the same when done
 * twice also after a broken connection. What is left is thrown as ReelfuseProblem or ReelfuseUnreachable. What JSON would change (NaN, an
 * invalid Date, a typed array, …) is refused before it is sent: a TypeError names it by a JSON pointer. Of putItems, importItems and
 * sendEvents only its row is refused, in the answer.
 */
export function createClient(options: ClientOptions) {
  const send = createTransport(options);
  const ask = async <Answer>(call: Call): Promise<Answer> => JSON.parse(await send(call)) as Answer; // by the server's own schema
  const read = <Answer>(path: string, { signal }: CallOptions, query?: Call['query']): Promise<Answer> =>
    ask({ method: 'GET', path, isIdempotent: true, ...optional('query', query), ...optional('signal', signal) });

  const recommend = (request: RecommendRequest, { signal }: CallOptions = {}): Promise<Recommendations> =>
    ask({ method: 'POST', path: '/v1/recommendations', body: request, isIdempotent: true, ...optional('signal', signal) });

  const listItems = (query: ItemQuery & { cursor?: string } = {}, call: CallOptions = {}): Promise<ItemPage> => read('/v1/items', call, query);
  const listUsers = (query: { limit?: number; cursor?: string } = {}, call: CallOptions = {}): Promise<UserPage> => read('/v1/users', call, query);

  const writeItem = (method: 'PUT' | 'PATCH' | 'DELETE', itemId: string, body: unknown, write: WriteOptions): Promise<ItemReceipt> => {
    const { wait, ifMatch, ifAbsent = false, signal } = write;
    return ask({
      method,
      path: `/v1/items/${segment(itemId)}`,
      ...(body !== undefined && { body }),
      ...(wait !== undefined && { query: { wait } }),
      headers: {
        ...(ifMatch !== undefined && { 'if-match': ifMatch === 'any' ? '*' : `"${ifMatch}"` }),
        ...(ifAbsent && { 'if-none-match': '*' }),
      },
      // a second one would find what the first has written, and be refused
      isIdempotent: ifMatch === undefined && !ifAbsent && method !== 'DELETE',
      ...optional('signal', signal),
    });
  };

  /** @returns at least one result; fewer than lines when one of them is longer than the server reads */
  const putLines = async (lines: readonly ItemLine[], wait: BatchOptions['wait'], signal: AbortSignal | undefined): Promise<ItemResult[]> => {
    try {
      const { results } = await ask<{ results: ItemResult[] }>({
        method: 'POST',
        path: '/v1/items/batch',
        body: lines.map(({ text }) => text).join(''),
        headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': newId() },
        ...(wait !== undefined && { query: { wait } }),
        isIdempotent: true,
        ...optional('signal', signal),
      });
      if (results.length === 0) throw new Error(`the server has answered none of ${lines.length} rows`);
      return results.map((result, index) => withReason(result, lines[index]));
    } catch (error) {
      // the first row itself: then there is nothing else to tell, and it is a problem of the whole
      if (!(error instanceof ReelfuseProblem) || error.code !== 'row_too_large') throw error;
      return [{ status: error.status, error: { code: error.code, pointer: error.errors[0]?.pointer ?? '', detail: error.detail } }];
    }
  };

  return {
    recommend,
    /** Page after page of one session, until `end_reason` says why there is no next one. */
    async *feed(request: RecommendRequest, call: CallOptions = {}): AsyncGenerator<Recommendations, void> {
      for (let page = await recommend(request, call); ;) {
        yield page;
        if (page.next_cursor === null) return;
        page = await recommend({ ...request, cursor: page.next_cursor }, call);
      }
    },
    recommendForUser: (userId: string, { filter, fields, ...query }: RecommendQuery = {}, call: CallOptions = {}): Promise<Recommendations> =>
      read(`/v1/users/${segment(userId)}/recommendations`, call, {
        ...query,
        ...(filter !== undefined && { filter: jsonOf(filter) }),
        ...(fields !== undefined && { fields: fields.join(',') }),
      }),
    /** One result a request, in order; each has its own status. */
    recommendBatch: async (requests: readonly RecommendRequest[], { signal }: CallOptions = {}): Promise<BatchedRecommendations[]> => {
      const path = '/v1/recommendations/batch';
      const call: Call = { method: 'POST', path, body: { requests }, isIdempotent: true, ...optional('signal', signal) };
      return (await ask<{ results: BatchedRecommendations[] }>(call)).results;
    },
    similarItems: (itemId: string, request: SimilarRequest = {}, { signal }: CallOptions = {}): Promise<Recommendations> =>
      ask({ method: 'POST', path: `/v1/items/${segment(itemId)}/similar`, body: request, isIdempotent: true, ...optional('signal', signal) }),
    replayRecommendation: (recommendationId: string, call: CallOptions = {}): Promise<ServedRecommendations> =>
      read(`/v1/recommendations/${segment(recommendationId)}`, call),

    /** Creates or replaces. */
    putItem: (itemId: string, item: ItemFields, write: WriteOptions = {}): Promise<ItemReceipt> => writeItem('PUT', itemId, item, write),
    /** What is absent stays, null clears. */
    patchItem: (itemId: string, change: ItemChange, write: Omit<WriteOptions, 'ifAbsent'> = {}): Promise<ItemReceipt> =>
      writeItem('PATCH', itemId, change, write),
    deleteItem: (itemId: string, write: Omit<WriteOptions, 'ifAbsent' | 'wait'> = {}): Promise<ItemReceipt> =>
      writeItem('DELETE', itemId, undefined, write),
    getItem: (itemId: string, call: CallOptions = {}): Promise<Item> => read(`/v1/items/${segment(itemId)}`, call),
    listItems,
    /** Every item, page after page. */
    async *items(query: ItemQuery = {}, call: CallOptions = {}): AsyncGenerator<Item, void> {
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page: ItemPage = await listItems({ ...query, ...optional('cursor', cursor) }, call);
        yield* page.items;
        cursor = page.next_cursor;
      }
    },
    /** Up to 1,000 items in one call; one result each, in order. A row that is refused does not throw. */
    putItems: async (items: readonly ItemInput[], { wait, idempotencyKey = newId(), signal }: BatchOptions = {}): Promise<ItemResult[]> => {
      const rows = items.map(rowOf);
      const { results } = await ask<{ results: ItemResult[] }>({
        method: 'POST',
        path: '/v1/items/batch',
        body: { items: rows.map(({ given, problem }) => (problem === null ? given : null)) },
        headers: { 'idempotency-key': idempotencyKey },
        ...(wait !== undefined && { query: { wait } }),
        isIdempotent: true,
        ...optional('signal', signal),
      });
      return results.map((result, index) => withReason(result, rows[index]));
    },
    /**
     * Any number of items from any source, in constant memory: NDJSON bodies of bounded size, one after another, each with an idempotency key of
     * its own, so that a broken connection costs a body and not the import. One result a row, in order. The server paces it.
     */
    async *importItems(
      items: Iterable<ItemInput> | AsyncIterable<ItemInput>,
      { wait, signal, ...limits }: ImportOptions = {},
    ): AsyncGenerator<ImportedRow, void> {
      let row = 0;
      for await (const body of inBodies(items, limits)) {
        for (let lines = body; lines.length > 0;) {
          const results = await putLines(lines, wait, signal);
          for (const result of results) yield { ...result, row: row++ };
          lines = lines.slice(results.length);
        }
      }
    },

    /** Every attribute that an item has carried or that is declared, by name. */
    listAttributes: async (call: CallOptions = {}): Promise<Attribute[]> =>
      (await read<{ attributes: Attribute[] }>('/v1/attributes', call)).attributes,
    getAttribute: (name: string, call: CallOptions = {}): Promise<Attribute> => read(`/v1/attributes/${segment(name)}`, call),
    /** From then on items with another type are refused. */
    declareAttribute: (name: string, type: AttributeType, { signal }: CallOptions = {}): Promise<Attribute> =>
      ask({ method: 'PUT', path: `/v1/attributes/${segment(name)}`, body: { type }, isIdempotent: true, ...optional('signal', signal) }),
    /** Only while no item carries it. */
    deleteAttribute: (name: string, { signal }: CallOptions = {}): Promise<Attribute> =>
      ask({ method: 'DELETE', path: `/v1/attributes/${segment(name)}`, isIdempotent: false, ...optional('signal', signal) }),

    /** A sample of the catalogue on a plane. */
    getMap: ({ fields }: { fields?: readonly string[] } = {}, call: CallOptions = {}): Promise<ItemMap> =>
      read('/v1/map', call, fields === undefined ? undefined : { fields: fields.join(',') }),
    /** Where given items stand on it; those without a vector are left out. */
    placeItems: (itemIds: readonly string[], { signal }: CallOptions = {}): Promise<ItemPlaces> =>
      ask({ method: 'POST', path: '/v1/map/positions', body: { item_ids: itemIds }, isIdempotent: true, ...optional('signal', signal) }),

    /** Up to 10,000 events. Rejected ones are in the answer; they do not throw. */
    sendEvents: async (events: readonly EventInput[], { signal }: CallOptions = {}): Promise<EventsAnswer> => {
      const now = new Date().toISOString();
      const rows = events.map(({ event_id: id = newId(), at = now, ...event }) => rowOf({ event_id: id, at, ...event }));
      // an event of nothing but its id is refused by the server, and told under that id
      const sent = rows.map(({ given, problem }) =>
        problem === null ? given : typeof given.event_id === 'string' ? { event_id: given.event_id } : null,
      );
      // 422 with an answer: every event was rejected
      const accepts: Call['accepts'] = (status, contentType) => status === 422 && contentType.startsWith('application/json');
      const call: Call = { method: 'POST', path: '/v1/events', body: { events: sent }, isIdempotent: true, accepts, ...optional('signal', signal) };
      const answer = await ask<EventsAnswer>(call);
      const rejected = answer.rejected.map((entry) => {
        const problem = rows[entry.index]?.problem;
        return problem == null ? entry : { ...entry, errors: [{ ...problem, pointer: `/events/${entry.index}${problem.pointer}` }] };
      });
      return { ...answer, rejected };
    },

    getHistory: (
      userId: string,
      { fields, ...query }: { limit?: number; fields?: readonly string[] } = {},
      call: CallOptions = {},
    ): Promise<History> =>
      read(`/v1/users/${segment(userId)}/history`, call, { ...query, ...(fields !== undefined && { fields: fields.join(',') }) }),
    /** `complete: false`: no answer knows the user any more, but a backup still keeps the files from being cleaned; ask again. */
    eraseUser: (userId: string, { signal }: CallOptions = {}): Promise<ErasedUser> =>
      ask({ method: 'DELETE', path: `/v1/users/${segment(userId)}`, isIdempotent: true, ...optional('signal', signal) }),
    listUsers,
    /** Every user with a history, page after page. */
    async *users(query: { limit?: number } = {}, call: CallOptions = {}): AsyncGenerator<UserPage['users'][number], void> {
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page: UserPage = await listUsers({ ...query, ...optional('cursor', cursor) }, call);
        yield* page.users;
        cursor = page.next_cursor;
      }
    },

    listModels: (call: CallOptions = {}): Promise<Models> => read('/v1/models', call),
    /** @param folder absolute path on the server */
    registerModel: (folder: string, { signal }: CallOptions = {}): Promise<Model> =>
      ask({ method: 'POST', path: '/v1/models', body: { folder }, isIdempotent: true, ...optional('signal', signal) }),
    activateModel: (fingerprint: string, { signal }: CallOptions = {}): Promise<Swap> =>
      ask({ method: 'POST', path: `/v1/models/${segment(fingerprint)}/activate`, isIdempotent: true, ...optional('signal', signal) }),

    reportQuality: (query: { hours?: number } = {}, call: CallOptions = {}): Promise<QualityReport> => read('/v1/reports/quality', call, query),
    listReplicas: (call: CallOptions = {}): Promise<Replicas> => read<Replicas>('/v1/replicas', call),
    listSnapshots: async (call: CallOptions = {}): Promise<Snapshot[]> => (await read<{ snapshots: Snapshot[] }>('/v1/snapshots', call)).snapshots,
    writeSnapshot: ({ signal }: CallOptions = {}): Promise<Snapshot> =>
      ask({ method: 'POST', path: '/v1/snapshots', isIdempotent: false, ...optional('signal', signal) }),

    live: (call: CallOptions = {}): Promise<Status> => read('/livez', call),
    /** Does not wait: `starting` is an answer. */
    ready: ({ signal }: CallOptions = {}): Promise<Status> =>
      ask({ method: 'GET', path: '/readyz', isIdempotent: true, accepts: (status) => status === 503, ...optional('signal', signal) }),
    /** In Prometheus' text format. */
    metrics: ({ signal }: CallOptions = {}): Promise<string> =>
      send({ method: 'GET', path: '/metrics', headers: { accept: 'text/plain' }, isIdempotent: true, ...optional('signal', signal) }),
  };
}

export type Client = ReturnType<typeof createClient>;
