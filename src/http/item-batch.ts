import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Type, type Static } from 'typebox';
import { MAX_ID_LENGTH } from '../ids.js';
import type { ByteLine } from '../byte-lines.js';
import { ReelfuseError, invalidRequest, messageOf } from '../errors.js';
import { type ExpectedShape, ItemRow, parseItemRow } from '../ingest/item-input.js';
import type { Ingest, WriteOptions } from '../ingest/items.js';
import { firstBadByte, utf8Text } from '../utf8.js';
import { requireUtf8Charset } from './body/json-body.js';
import { createJsonMeter } from './body/json-meter.js';
import { CHEAP_BYTES, ITEM_BODY, MIB, type BodyLimits } from './body/limits.js';
import { IdempotencyKey, type Idempotency, type JsonAnswer } from './idempotency.js';
import { ReceiptSchema, WaitQuery, isErrors } from './item-receipt.js';
import { atMost, linesOf } from './lines.js';
import { problemResponses } from './problem.js';
import { requireReady, type Readiness } from './readiness.js';
import { answersCut } from './stalled.js';
import type { TypedApp } from './typed-app.js';
import { UNREAD_MS, endUnread } from './unread.js';
import { validatorCompiler } from './validation.js';

const MAX_BATCH_ROWS = 1000;
/** Of any size that REELFUSE_BODY_LIMIT_MB allows. */
const BATCH_BODY: BodyLimits = { maxBytes: Infinity, maxValues: 500 * MAX_BATCH_ROWS, rows: ITEM_BODY };
/** Maximum number of rows of a stream that is answered by one document. */
const MAX_COLLECTED = 10_000;
/** Rows that are decoded in one turn of the event loop. */
const SLICE_ROWS = 16;
/** Rows of a stream that are answered together. */
const GROUP_ROWS = 64;
/** Groups of a stream that are written at once, so that the item tower, the disk and the index all have work (bench/LOG.md, 2026-12-01). */
const OPEN_GROUPS = 8;
/** Time without a further row after which the results of those before it are sent. */
const QUIET_MS = 20;

/** The receipt of a stored row, or its error. */
const RowResult = Type.Object({
  ...Type.Partial(ReceiptSchema).properties,
  status: Type.Integer(),
  error: Type.Optional(Type.Object({ code: Type.String(), pointer: Type.String(), detail: Type.String() })),
});
type RowResult = Static<typeof RowResult>;
const BatchAnswer = Type.Object({ results: Type.Array(RowResult) });

const Batch = Type.Object({ items: Type.Array(ItemRow, { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
/** The schema of the envelope only: each row is checked by itself, so an invalid row does not stop the others. */
const Envelope = Type.Object({ items: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH_ROWS }) }, { additionalProperties: false });
const validateEnvelope = validatorCompiler({ schema: Envelope, httpPart: 'body' });
const validateBody = (body: unknown) => isStream(body) || validateEnvelope(body);

export interface ItemBatchRoutes extends Readiness {
  ingest: Pick<Ingest, 'put'>;
  /** Shape of the hidden states that the serving model takes. */
  expectedShape(): ExpectedShape | null;
  idempotency: Idempotency;
  config: { bodyLimitMb: number };
  log: Pick<Logger, 'error'>;
}

export function registerItemBatch(app: TypedApp, routes: ItemBatchRoutes): void {
  app.post(
    '/v1/items/batch',
    {
      config: { scope: 'write', body: BATCH_BODY },
      schema: {
        tags: ['items'],
        operationId: 'putItems',
        summary: 'Create or replace many items: JSON with up to 1,000, or an NDJSON stream (application/x-ndjson) of any length',
        description:
          'Valid rows are stored, invalid ones get an error. 200 when every row was stored, else 207. An NDJSON stream with Accept: ' +
          'application/x-ndjson is answered by 200 and one result a line while rows are stored, at any length. Read results while you send: unread ' +
          'results halt the stream, and close it after a minute. Without that header the answer is one document of up to ' +
          `${MAX_COLLECTED.toLocaleString('en')} rows. Three things end a stream: a row longer than the body limit (413 row_too_large), a row too ` +
          'many (413 too_many_rows) and a body that breaks off (400 stream_broken). The last result says which, and names the first row that was not read.',
        querystring: WaitQuery,
        headers: Type.Object({ 'idempotency-key': IdempotencyKey }),
        body: Batch,
        response: { 200: BatchAnswer, 207: BatchAnswer, ...problemResponses },
      },
      validatorCompiler: (part) => (part.httpPart === 'body' ? validateBody : validatorCompiler(part)),
    },
    async (request, reply) => {
      requireReady(routes);
      const body: unknown = request.body;
      requireUtf8Charset(request.headers['content-type'] ?? '');
      const key = request.headers['idempotency-key'];
      const maxBytes = routes.config.bodyLimitMb * MIB;
      const maxRowBytes = Math.min(ITEM_BODY.maxBytes, maxBytes);
      // a stream waits when the queue is full; a body with all rows is refused at once
      const options: WriteOptions = { wait: request.query.wait, whenFull: isStream(body) ? 'wait' : 'refuse' };
      const put: PutRow = (value, prefix) => storeRow(routes, value, prefix, options);
      // after a body that is not read to its end, the connection cannot be used again
      if (isStream(body)) {
        void reply.header('connection', 'close');
        answersCut(request.raw, (error) => void body.emit('error', error)); // ends the lines
      }
      if (isStream(body) && wantsLines(request.headers.accept)) {
        if (key !== undefined)
          throw invalidRequest([{ pointer: '/headers/idempotency-key', detail: 'cannot be kept for an answer that is streamed' }]);
        endUnread(reply.raw, UNREAD_MS, () =>
          request.log.warn({ request_id: request.id }, 'the results of a stream were not read: connection closed'),
        );
        const results = putLines(linesOf(kept(body), maxRowBytes), put, maxBytes);
        return reply.type('application/x-ndjson').send(Readable.from(textOf(results)) as never); // a stream bypasses the serialiser
      }
      let isWhole = !isStream(body);
      async function* linesToTheEnd(source: AsyncIterable<Buffer>): AsyncGenerator<ByteLine> {
        yield* atMost(MAX_COLLECTED, linesOf(source, maxRowBytes), 'send Accept: application/x-ndjson for an answer of any length');
        isWhole = true;
        void reply.removeHeader('connection');
      }
      const answer = async (source: AsyncIterable<Buffer> | string): Promise<JsonAnswer> => {
        const results: RowResult[] = [];
        if (typeof source !== 'string') for await (const group of putLines(linesToTheEnd(source), put, maxBytes)) results.push(...group);
        else {
          const { items } = body as { items: unknown[] }; // validated above
          results.push(...(await putRows(items, put)));
        }
        const status = results.some(({ error }) => error !== undefined) ? 207 : 200;
        return { status, body: { results }, isFinal: isWhole && results.every((row) => row.status < 500) };
      };
      const source = isStream(body) ? kept(body) : (request.bodyDigest ?? '');
      const { status, body: answered } = await (key === undefined ? answer(source) : routes.idempotency.run(key, source, answer));
      void reply.status(status);
      return answered as Static<typeof BatchAnswer>; // made above, by this request or by the first one with the key
    },
  );
}

/** Stores one row. Never rejects: an error becomes the result of the row. */
async function storeRow(routes: ItemBatchRoutes, value: unknown, prefix: string, options: WriteOptions): Promise<RowResult> {
  const named = (value as { item_id?: unknown } | null)?.item_id;
  const id = typeof named === 'string' && named.length <= 2 * MAX_ID_LENGTH ? { item_id: named } : {};
  // every error becomes the result of the row: a rejected promise would be unhandled until it is awaited
  try {
    const parsed = parseItemRow(value, prefix, routes.expectedShape());
    if (isErrors(parsed)) {
      const { pointer, detail } = parsed[0] ?? { pointer: prefix, detail: 'is not valid' };
      return { ...id, status: 422, error: { code: 'invalid_request', pointer, detail } };
    }
    const { created, ...receipt } = await routes.ingest.put(parsed.fields, parsed.hiddenStates, options);
    return { ...receipt, status: created ? 201 : 200 };
  } catch (error) {
    if (error instanceof ReelfuseError) return { ...id, ...refused(error, prefix) };
    routes.log.error({ err: error }, 'an item of a batch could not be stored');
    return { ...id, status: 500, error: { code: 'internal_error', pointer: prefix, detail: 'the item could not be stored' } };
  }
}

const isStream = (body: unknown): body is Readable => typeof (body as { pipe?: unknown } | null)?.pipe === 'function';

/** The body as an iterable that is not destroyed when reading stops: the answer uses the same socket. */
const kept = (body: Readable): AsyncIterable<Buffer> => body.iterator({ destroyOnReturn: false });

/** Whether the caller asks for a stream of results, one on each line. */
const wantsLines = (accept: string | undefined): boolean => accept?.includes('application/x-ndjson') === true;

type PutRow = (value: unknown, prefix: string) => Promise<RowResult>;

/** Stores the rows of one body. Between slices others have their turn: the hidden states of many rows take long to decode. */
async function putRows(rows: readonly unknown[], put: PutRow): Promise<RowResult[]> {
  const results: Promise<RowResult>[] = [];
  for (const [index, row] of rows.entries()) {
    results.push(put(row, `/items/${index}`));
    if (results.length % SLICE_ROWS === 0) await nextTurn();
  }
  return Promise.all(results);
}

/**
 * Stores rows and yields their results, one group at a time, as fast as the consumer takes them. An error that ends the lines early
 * becomes the last result.
 * @throws ReelfuseError when that error comes before the first row
 */
async function* putLines(lines: AsyncIterable<ByteLine>, putRow: PutRow, maxBytes: number): AsyncGenerator<RowResult[]> {
  const open: Promise<RowResult>[][] = [];
  let newest: Promise<RowResult>[] = [];
  let bytes = 0;
  let isFirst = true;
  let end: RowResult | null = null;
  try {
    for await (const line of withPauses(lines, QUIET_MS)) {
      if (line === null) {
        // the caller may wait for these results before it sends more
        for (const group of [...open.splice(0), newest]) if (group.length > 0) yield await Promise.all(group);
        newest = [];
        bytes = 0;
        continue;
      }
      newest.push(putLine(line, putRow));
      isFirst = false;
      bytes += line.bytes.length;
      if (newest.length < GROUP_ROWS && bytes < maxBytes / OPEN_GROUPS) continue;
      open.push(newest);
      newest = [];
      bytes = 0;
      if (open.length < OPEN_GROUPS) continue;
      const results = await Promise.all(open.shift() ?? []);
      yield results;
      // refused rows wait for nothing, so that nobody else would have a turn while a chunk of them is read
      if (results.every(({ status }) => status === 422)) await nextTurn();
    }
  } catch (error) {
    if (isFirst || !(error instanceof ReelfuseError)) throw error;
    end = refused(error, '');
  }
  for (const group of [...open, newest]) yield await Promise.all(group);
  if (end !== null) yield [end];
}

/** The lines, and null whenever none has come for some time after one. Ends the source when it is left. */
async function* withPauses(lines: AsyncIterable<ByteLine>, quietMs: number): AsyncGenerator<ByteLine | null> {
  const source = lines[Symbol.asyncIterator]();
  let isQuiet = true;
  try {
    for (let next = source.next(); ;) {
      const line: IteratorResult<ByteLine> | null = isQuiet ? await next : await orNull(next, quietMs);
      isQuiet = line === null;
      if (line === null) yield null;
      else if (line.done === true) return;
      else {
        yield line.value;
        next = source.next();
      }
    }
  } finally {
    await source.return?.();
  }
}

/** Null after a time. */
async function orNull<Value>(task: Promise<Value>, milliseconds: number): Promise<Value | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, milliseconds, null)));
  try {
    return await Promise.race([task, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function* textOf(results: AsyncIterable<RowResult[]>): AsyncGenerator<string> {
  for await (const group of results) for (const result of group) yield `${JSON.stringify(result)}\n`;
}

/** The first field that is refused is named by a pointer within the row. */
const refused = ({ status, code, errors: [first], message }: ReelfuseError, prefix: string): RowResult => ({
  status,
  error: { code, pointer: prefix + (first?.pointer ?? ''), detail: first?.detail ?? message },
});

function putLine({ row, bytes }: ByteLine, putRow: PutRow): Promise<RowResult> {
  const prefix = `/${row}`;
  const refuse = (detail: string): Promise<RowResult> =>
    Promise.resolve({ status: 422, error: { code: 'invalid_request', pointer: prefix, detail } });
  const text = utf8Text(bytes);
  if (text === null) return refuse(`is not UTF-8 (byte ${firstBadByte(bytes)} of the line)`);
  let value: unknown;
  try {
    if (bytes.length > CHEAP_BYTES) createJsonMeter(ITEM_BODY).add(bytes);
    value = JSON.parse(text);
  } catch (error) {
    return error instanceof ReelfuseError ? Promise.resolve(refused(error, prefix)) : refuse(`is not JSON: ${messageOf(error)}`);
  }
  return putRow(value, prefix);
}
