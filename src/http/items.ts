import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Type, type Static } from 'typebox';
import { ITEM_STATES, stateOf, type ItemState } from '../catalog/catalogue.js';
import type { Precondition, Receipt } from '../catalog/ingest.js';
import {
  type ExpectedShape,
  Id,
  ItemBody,
  ItemPatch,
  ItemRow,
  parseHiddenStates,
  parseItem,
  parseItemRow,
  patchFields,
  presentItem,
  type ParsedItem,
} from '../catalog/item-input.js';
import { ReelfuseError, invalidRequest, messageOf, notFound, type FieldError } from '../errors.js';
import { compileSchema } from '../schema.js';
import type { Services } from '../services.js';
import type { StoredItem } from '../store/store.js';
import { IdempotencyKey, createIdempotency, type JsonAnswer } from './idempotency.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const MAX_BATCH_ROWS = 1000;
/** Rows of an NDJSON stream that are on their way to the store at once; the stream waits for them. */
const STREAM_WINDOW = 256;

const Wait = Type.Optional(
  Type.Union([Type.Literal('searchable'), Type.Literal('stored')], {
    description: 'stored: answer when durable; searchable soon after, which at_least_sequence does not wait for',
  }),
);
const WaitQuery = Type.Object({ wait: Wait }, { additionalProperties: false });
const Headers = Type.Object({ 'if-match': Type.Optional(Type.String()), 'if-none-match': Type.Optional(Type.String()) });
const Params = Type.Object({ item_id: Id });
const State = Type.String({ description: 'searchable | pending_features | stored | hidden' });
const Model = Type.Object({ fingerprint: Type.String(), version: Type.String() }, { description: 'the generation that the item is searchable in' });
const ReceiptSchema = Type.Object({
  item_id: Type.String(),
  state: State,
  sequence: Type.Integer(),
  searchable_after_ms: Type.Unsafe<number | null>({ anyOf: [{ type: 'number' }, { type: 'null' }] }),
  model: Model,
});
const Item = Type.Object({
  item_id: Type.String(),
  title: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  author_id: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  attributes: Type.Record(Type.String(), Type.Unknown()),
  available_from: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  expires_at: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  hidden: Type.Boolean(),
  created_at: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  updated_at: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  sequence: Type.Integer(),
  state: State,
  has_hidden_states: Type.Boolean(),
});
const RowResult = Type.Object({
  item_id: Type.Optional(Type.String()),
  status: Type.Integer(),
  state: Type.Optional(State),
  sequence: Type.Optional(Type.Integer()),
  searchable_after_ms: Type.Optional(Type.Unsafe<number | null>({ anyOf: [{ type: 'number' }, { type: 'null' }] })),
  error: Type.Optional(Type.Object({ code: Type.String(), pointer: Type.String(), detail: Type.String() })),
});
type RowResult = Static<typeof RowResult>;
const BatchAnswer = Type.Object({ results: Type.Array(RowResult) });

const Batch = Type.Object({ items: Type.Array(ItemRow, { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
/** Rows are judged one by one, so that a bad one does not take the good ones down. */
const Envelope = Type.Object({ items: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
const validateEnvelope = compileSchema(Envelope);

const etagOf = (sequence: number): string => `"${sequence}"`;
/** If-Match takes one ETag of this server or `*`; If-None-Match only `*`, for a PUT that must create. */
function preconditionOf(headers: Static<typeof Headers>): Precondition | undefined {
  const match = headers['if-match'];
  const none = headers['if-none-match'];
  if (none !== undefined) {
    if (none !== '*' || match !== undefined)
      throw invalidRequest([{ pointer: '/headers/if-none-match', detail: 'must be * and stand without If-Match' }]);
    return 'absent';
  }
  if (match === undefined) return undefined;
  if (match === '*') return 'exists';
  const [, version] = /^"(\d{1,15})"$/.exec(match) ?? [];
  if (version === undefined) throw invalidRequest([{ pointer: '/headers/if-match', detail: 'must be * or one ETag of this item, like "42"' }]);
  return Number(version);
}

const isErrors = (parsed: ParsedItem | FieldError[]): parsed is FieldError[] => Array.isArray(parsed);

export function registerItems(app: TypedApp, services: Services): void {
  const expected = (): ExpectedShape => {
    const { manifest, norms } = services.generation.artifact;
    return { layers: manifest.layers.count, width: manifest.hidden_dim, norms };
  };
  const model = (): Static<typeof Model> => {
    const { fingerprint, manifest } = services.generation.artifact;
    return { fingerprint, version: manifest.version };
  };

  const idempotency = createIdempotency(services.store);
  const requireReady = (): void => {
    if (!services.isReady()) throw new ReelfuseError(503, 'starting', 'the catalogue is still loading', { retryAfter: 1 });
  };
  const put = ({ fields, hiddenStates }: ParsedItem): Promise<Receipt> => services.ingest.put(fields, hiddenStates);

  const putRow = async (value: unknown, prefix: string): Promise<RowResult> => {
    const named = (value as { item_id?: unknown } | null)?.item_id;
    const id = typeof named === 'string' ? { item_id: named } : {};
    const parsed = parseItemRow(value, prefix, expected());
    if (isErrors(parsed)) {
      const { pointer, detail } = parsed[0] ?? { pointer: prefix, detail: 'is not valid' };
      return { ...id, status: 422, error: { code: 'invalid_request', pointer, detail } };
    }
    try {
      const receipt = await put(parsed);
      const { item_id, created, state, sequence, searchable_after_ms } = receipt;
      return { item_id, status: created ? 201 : 200, state, sequence, searchable_after_ms };
    } catch (error) {
      if (error instanceof ReelfuseError) return { ...id, status: error.status, error: { code: error.code, pointer: prefix, detail: error.message } };
      services.log.error({ err: error }, 'an item of a batch could not be stored');
      return { ...id, status: 500, error: { code: 'internal_error', pointer: prefix, detail: 'the item could not be stored' } };
    }
  };

  app.put(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        summary: 'Create or replace an item; recommendable when this returns',
        params: Params,
        querystring: WaitQuery,
        headers: Headers,
        body: ItemBody,
        response: { 200: ReceiptSchema, 201: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, query, headers, body }, reply) => {
      requireReady();
      const parsed = parseItem(params.item_id, body, '', expected());
      if (isErrors(parsed)) throw invalidRequest(parsed);
      const options = { precondition: preconditionOf(headers), wait: query.wait };
      const { created, fingerprint: _, ...receipt } = await services.ingest.put(parsed.fields, parsed.hiddenStates, options);
      void reply.status(created ? 201 : 200).header('etag', etagOf(receipt.sequence));
      return { ...receipt, model: model() };
    },
  );

  app.patch(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        summary: 'Change fields of an item (JSON merge patch: null clears a field or an attribute); in effect when this returns',
        params: Params,
        headers: Headers,
        body: ItemPatch,
        response: { 200: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, headers, body }, reply) => {
      requireReady();
      const states = body.hidden_states == null ? body.hidden_states : parseHiddenStates(body.hidden_states, expected());
      if (states != null && 'pointer' in states) throw invalidRequest([states]);
      const change = { fields: (stored: StoredItem) => patchFields(stored, body), ...(states !== undefined && { hiddenStates: states }) };
      const {
        created: _,
        fingerprint: __,
        ...receipt
      } = await services.ingest.patch(params.item_id, change, { precondition: preconditionOf(headers) });
      void reply.header('etag', etagOf(receipt.sequence));
      return { ...receipt, model: model() };
    },
  );

  app.get(
    '/v1/items/:item_id',
    {
      config: { scope: 'recommend' },
      schema: { tags: ['items'], summary: 'One item', params: Params, response: { 200: Item, ...problemResponses } },
    },
    async ({ params }, reply) => {
      const item = services.store.item(params.item_id);
      if (item === null) throw notFound('item', params.item_id);
      void reply.header('etag', etagOf(item.sequence));
      return present(services, item);
    },
  );

  app.get(
    '/v1/items',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['items'],
        summary: 'All items by item_id, a page at a time',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
            cursor: Type.Optional(Id),
            state: Type.Optional(Type.Union(ITEM_STATES.map((state) => Type.Literal(state)))),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ items: Type.Array(Item), next_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'] }) }),
          ...problemResponses,
        },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? 100;
      const found: Static<typeof Item>[] = [];
      let cursor = query.cursor ?? null;
      for (;;) {
        const page = services.store.items(cursor, limit);
        for (const item of page) {
          cursor = item.item_id;
          const presented = present(services, item);
          if (query.state === undefined || presented.state === query.state) found.push(presented);
          if (found.length === limit) return { items: found, next_cursor: cursor };
        }
        if (page.length < limit) return { items: found, next_cursor: null };
        await nextTurn(); // a rare state may need many pages; other requests come in between
      }
    },
  );

  app.delete(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        summary: 'Delete an item; no later request is served it',
        params: Params,
        headers: Headers,
        response: { 200: Type.Object({ item_id: Type.String(), sequence: Type.Integer() }), ...problemResponses },
      },
    },
    async ({ params, headers }) => {
      requireReady();
      const deleted = await services.ingest.remove(params.item_id, preconditionOf(headers));
      return { item_id: params.item_id, ...deleted };
    },
  );

  app.post(
    '/v1/items/batch',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        summary: 'Many items: JSON with up to 1,000, or an NDJSON stream (application/x-ndjson) of any length',
        description:
          'Good rows land, bad ones are reported. 200 when every row landed, else 207. An NDJSON stream with Accept: application/x-ndjson is answered ' +
          'by 200 and one result a line, as the rows are put, so that its length does not matter on either side.',
        headers: Type.Object({ 'idempotency-key': IdempotencyKey }),
        body: Batch,
        response: { 200: BatchAnswer, 207: BatchAnswer, ...problemResponses },
      },
      validatorCompiler:
        ({ httpPart }) =>
        (part: unknown) =>
          httpPart !== 'body' ||
          isStream(part) ||
          validateEnvelope(part) || { error: Object.assign(new Error(), { validation: validateEnvelope.errors }) },
    },
    async (request, reply) => {
      requireReady();
      const body: unknown = request.body;
      const key = request.headers['idempotency-key'];
      const maxLine = services.config.bodyLimitMb * 1024 * 1024;
      if (isStream(body) && wantsLines(request.headers.accept)) {
        if (key !== undefined)
          throw invalidRequest([{ pointer: '/headers/idempotency-key', detail: 'cannot be kept for an answer that is streamed' }]);
        return reply.type('application/x-ndjson').send(Readable.from(resultLines(body, putRow, maxLine)) as never); // a stream passes the serialiser by
      }
      const answer = async (source: Readable | string): Promise<JsonAnswer> => {
        const results: RowResult[] = [];
        if (typeof source !== 'string') for await (const group of putStream(source, putRow, maxLine)) results.push(...group);
        else results.push(...(await Promise.all((body as { items: unknown[] }).items.map((row, index) => putRow(row, `/items/${index}`))))); // validated above
        return { status: results.some(({ error }) => error !== undefined) ? 207 : 200, body: { results } };
      };
      const source = isStream(body) ? body : key === undefined ? '' : JSON.stringify(body);
      const { status, body: answered } = await (key === undefined ? answer(source) : idempotency.run(key, source, answer));
      void reply.status(status);
      return answered as Static<typeof BatchAnswer>; // made above, now or when the key came first
    },
  );
}

const isStream = (body: unknown): body is Readable => typeof (body as { pipe?: unknown } | null)?.pipe === 'function';

/** Whether the caller reads one result a line, as the rows are put. */
const wantsLines = (accept: string | undefined): boolean => accept?.includes('application/x-ndjson') === true;

type PutRow = (value: unknown, prefix: string) => Promise<RowResult>;

/** Results of a window of rows at a time: whoever takes them decides how much is in memory. */
async function* putStream(stream: Readable, putRow: PutRow, maxLine: number): AsyncGenerator<RowResult[]> {
  let pending: Promise<RowResult>[] = [];
  let line = 0;
  for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
    const prefix = `/${line++}`;
    if (text.trim() === '') continue;
    pending.push(text.length > maxLine ? Promise.resolve(rowError(prefix, 'is too long')) : putLine(text, prefix, putRow));
    if (pending.length < STREAM_WINDOW) continue;
    yield await Promise.all(pending);
    pending = [];
  }
  yield await Promise.all(pending);
}

async function* resultLines(stream: Readable, putRow: PutRow, maxLine: number): AsyncGenerator<string> {
  for await (const group of putStream(stream, putRow, maxLine)) for (const result of group) yield `${JSON.stringify(result)}\n`;
}

const rowError = (pointer: string, detail: string): RowResult => ({ status: 422, error: { code: 'invalid_request', pointer, detail } });

function putLine(text: string, prefix: string, putRow: PutRow): Promise<RowResult> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return Promise.resolve(rowError(prefix, `is not JSON: ${messageOf(error)}`));
  }
  return putRow(value, prefix);
}

function present({ generation, store }: Services, item: StoredItem): Static<typeof Item> {
  const known = generation.catalogue.get(item.item_id);
  const state: ItemState = known === undefined ? 'stored' : stateOf(known, generation.artifact.manifest.variant !== 'id');
  return { ...presentItem(item), state, has_hidden_states: store.hasHiddenStates(item.item_id) };
}
