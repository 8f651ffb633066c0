import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Type, type Static } from 'typebox';
import { stateOf, type ItemState } from '../catalog/catalogue.js';
import type { Receipt } from '../catalog/ingest.js';
import { Id, ItemBody, ItemRow, parseItem, parseItemRow, presentItem, type ParsedItem } from '../catalog/item-input.js';
import { ReelfuseError, invalidRequest, messageOf, notFound, type FieldError } from '../errors.js';
import { compileSchema } from '../schema.js';
import type { Services } from '../services.js';
import type { StoredItem } from '../store/store.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const MAX_BATCH_ROWS = 1000;
/** Rows of an NDJSON stream that are on their way to the store at once; the stream waits for them. */
const STREAM_WINDOW = 256;

const Params = Type.Object({ item_id: Id });
const State = Type.String({ description: 'searchable | pending_features | stored | hidden' });
const Model = Type.Object({ fingerprint: Type.String(), version: Type.String() });
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
  error: Type.Optional(Type.Object({ code: Type.String(), pointer: Type.String(), detail: Type.String() })),
});
type RowResult = Static<typeof RowResult>;
const BatchAnswer = Type.Object({ results: Type.Array(RowResult) });

const Batch = Type.Object({ items: Type.Array(ItemRow, { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
/** Rows are judged one by one, so that a bad one does not take the good ones down. */
const Envelope = Type.Object({ items: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
const validateEnvelope = compileSchema(Envelope);

const etagOf = (sequence: number): string => `"${sequence}"`;
const isErrors = (parsed: ParsedItem | FieldError[]): parsed is FieldError[] => Array.isArray(parsed);

export function registerItems(app: TypedApp, services: Services): void {
  const { manifest } = services.generation.artifact;
  const expected = { layers: manifest.layers.count, width: manifest.hidden_dim };

  const requireReady = (): void => {
    if (!services.isReady()) throw new ReelfuseError(503, 'starting', 'the catalogue is still loading', { retryAfter: 1 });
  };
  const put = ({ fields, hiddenStates }: ParsedItem): Promise<Receipt> => services.ingest.put(fields, hiddenStates);
  const model = { fingerprint: services.generation.artifact.fingerprint, version: manifest.version };

  const putRow = async (value: unknown, prefix: string): Promise<RowResult> => {
    const named = (value as { item_id?: unknown } | null)?.item_id;
    const id = typeof named === 'string' ? { item_id: named } : {};
    const parsed = parseItemRow(value, prefix, expected);
    if (isErrors(parsed)) {
      const { pointer, detail } = parsed[0] ?? { pointer: prefix, detail: 'is not valid' };
      return { ...id, status: 422, error: { code: 'invalid_request', pointer, detail } };
    }
    try {
      const receipt = await put(parsed);
      return { item_id: receipt.item_id, status: receipt.created ? 201 : 200, state: receipt.state, sequence: receipt.sequence };
    } catch (error) {
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
        body: ItemBody,
        response: { 200: ReceiptSchema, 201: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, body }, reply) => {
      requireReady();
      const parsed = parseItem(params.item_id, body, '', expected);
      if (isErrors(parsed)) throw invalidRequest(parsed);
      const { created, fingerprint: _, ...receipt } = await put(parsed);
      void reply.status(created ? 201 : 200).header('etag', etagOf(receipt.sequence));
      return { ...receipt, model };
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
          { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })), cursor: Type.Optional(Id) },
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
      const items = services.store.items(query.cursor ?? null, limit);
      const next = items.length === limit ? (items.at(-1)?.item_id ?? null) : null;
      return { items: items.map((item) => present(services, item)), next_cursor: next };
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
        response: { 200: Type.Object({ item_id: Type.String(), sequence: Type.Integer() }), ...problemResponses },
      },
    },
    async ({ params }) => {
      requireReady();
      const deleted = await services.ingest.remove(params.item_id);
      if (deleted === null) throw notFound('item', params.item_id);
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
        description: 'Good rows land, bad ones are reported. 200 when every row landed, else 207.',
        body: Batch,
        response: { 200: BatchAnswer, 207: BatchAnswer, ...problemResponses },
      },
      validatorCompiler: () => (body: unknown) =>
        isStream(body) || validateEnvelope(body) || { error: Object.assign(new Error(), { validation: validateEnvelope.errors }) },
    },
    async (request, reply) => {
      requireReady();
      const body: unknown = request.body;
      const results = isStream(body)
        ? await putStream(body, putRow, services.config.bodyLimitMb * 1024 * 1024)
        : await Promise.all((body as { items: unknown[] }).items.map((row, index) => putRow(row, `/items/${index}`)));
      void reply.status(results.some(({ error }) => error !== undefined) ? 207 : 200);
      return { results };
    },
  );
}

const isStream = (body: unknown): body is Readable => typeof (body as { pipe?: unknown } | null)?.pipe === 'function';

async function putStream(stream: Readable, putRow: (value: unknown, prefix: string) => Promise<RowResult>, maxLine: number): Promise<RowResult[]> {
  const results: RowResult[] = [];
  let pending: Promise<RowResult>[] = [];
  let line = 0;
  for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
    const prefix = `/${line++}`;
    if (text.trim() === '') continue;
    pending.push(text.length > maxLine ? Promise.resolve(rowError(prefix, 'is too long')) : putLine(text, prefix, putRow));
    if (pending.length < STREAM_WINDOW) continue;
    results.push(...(await Promise.all(pending)));
    pending = [];
  }
  return [...results, ...(await Promise.all(pending))];
}

const rowError = (pointer: string, detail: string): RowResult => ({ status: 422, error: { code: 'invalid_request', pointer, detail } });

function putLine(text: string, prefix: string, putRow: (value: unknown, prefix: string) => Promise<RowResult>): Promise<RowResult> {
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
