import { Type, type Static } from 'typebox';
import { AVAILABILITIES, ITEM_STATES } from '../domain/item.js';
import { invalidRequest, notFound } from '../errors.js';
import {
  type ExpectedShape,
  Id,
  ItemBody,
  ItemPatch,
  KnownId,
  parseHiddenStates,
  parseItem,
  patchFields,
  presentItem,
} from '../ingest/item-input.js';
import type { ItemPage, ItemQuery, ReadItem } from '../ingest/item-reading.js';
import type { Ingest } from '../ingest/items.js';
import type { StoredItem } from '../store/items.js';
import { ITEM_BODY } from './body/limits.js';
import { etagOf, etagOfRead, isNotModified, preconditionOf, Tags } from './conditions.js';
import { ReceiptSchema, State, WaitQuery, isErrors } from './item-receipt.js';
import { problemResponses } from './problem.js';
import { requireReady, type Readiness } from './readiness.js';
import type { TypedApp } from './typed-app.js';

const Headers = Type.Object({
  'if-match': Tags('* or ETags of this item. The write happens only when the stored version is one of them.'),
  'if-none-match': Tags('* or ETags. The write happens only when the stored version is none of them.'),
});
const ReadHeaders = Type.Object({
  'if-match': Tags('* or ETags of this item; 412 when the stored version is none of them.'),
  'if-none-match': Tags('* or ETags; 304 when the current one is among them.'),
});
const Params = Type.Object({ item_id: Id });
const KnownParams = Type.Object({ item_id: KnownId });
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
  availability: Type.String({ description: 'now | scheduled | expired, by available_from and expires_at' }),
  has_hidden_states: Type.Boolean(),
});

export interface ItemRoutes extends Readiness {
  ingest: Pick<Ingest, 'put' | 'patch' | 'remove'>;
  readItem(itemId: string): Promise<ReadItem | null>;
  listItems(query: ItemQuery): Promise<ItemPage>;
  /** Shape of the hidden states that the serving model takes. */
  expectedShape(): ExpectedShape | null;
}

export function registerItems(app: TypedApp, routes: ItemRoutes): void {
  app.put(
    '/v1/items/:item_id',
    {
      config: { scope: 'write', body: ITEM_BODY },
      schema: {
        tags: ['items'],
        operationId: 'putItem',
        summary: 'Create or replace an item; it can be recommended when this returns',
        params: Params,
        querystring: WaitQuery,
        headers: Headers,
        body: ItemBody,
        response: { 200: ReceiptSchema, 201: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, query, headers, body }, reply) => {
      requireReady(routes);
      const parsed = parseItem(params.item_id, body, '', routes.expectedShape());
      if (isErrors(parsed)) throw invalidRequest(parsed);
      const options = { precondition: preconditionOf(headers), wait: query.wait };
      const { created, ...receipt } = await routes.ingest.put(parsed.fields, parsed.hiddenStates, options);
      void reply.status(created ? 201 : 200).header('etag', etagOf(receipt.sequence));
      return receipt;
    },
  );

  app.patch(
    '/v1/items/:item_id',
    {
      config: { scope: 'write', body: ITEM_BODY },
      schema: {
        tags: ['items'],
        operationId: 'patchItem',
        summary: 'Change fields of an item by JSON merge patch, where null clears a field or an attribute; in effect when this returns',
        params: KnownParams,
        querystring: WaitQuery,
        headers: Headers,
        body: ItemPatch,
        response: { 200: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, query, headers, body }, reply) => {
      requireReady(routes);
      const states = body.hidden_states == null ? body.hidden_states : parseHiddenStates(body.hidden_states, routes.expectedShape());
      if (states != null && 'pointer' in states) throw invalidRequest([states]);
      const change = { fields: (stored: StoredItem) => patchFields(stored, body), ...(states !== undefined && { hiddenStates: states }) };
      const options = { precondition: preconditionOf(headers), wait: query.wait };
      const receipt = await routes.ingest.patch(params.item_id, change, options);
      void reply.header('etag', etagOf(receipt.sequence));
      return receipt;
    },
  );

  app.get(
    '/v1/items/:item_id',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['items'],
        operationId: 'getItem',
        summary: 'Get one item',
        params: KnownParams,
        headers: ReadHeaders,
        response: { 200: Item, 304: Type.Null({ description: 'The caller has this version.' }), ...problemResponses },
      },
    },
    async ({ params, headers }, reply) => {
      const read = await routes.readItem(params.item_id);
      if (read === null) throw notFound('item', params.item_id);
      void reply.header('etag', etagOfRead(read));
      if (isNotModified(headers, read)) return reply.status(304).send(null);
      return present(read);
    },
  );

  app.get(
    '/v1/items',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['items'],
        operationId: 'listItems',
        summary: 'List items by item_id, one page a call',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
            cursor: Type.Optional(KnownId),
            state: Type.Optional(Type.Union(ITEM_STATES.map((state) => Type.Literal(state)))),
            availability: Type.Optional(Type.Union(AVAILABILITIES.map((availability) => Type.Literal(availability)))),
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
      const { cursor = null, limit = 100, state, availability } = query;
      const { items, next } = await routes.listItems({ after: cursor, limit, state, availability });
      return { items: items.map(present), next_cursor: next };
    },
  );

  app.delete(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        operationId: 'deleteItem',
        summary: 'Delete an item; no later request gets it',
        params: KnownParams,
        headers: Headers,
        response: { 200: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, headers }) => {
      requireReady(routes);
      return routes.ingest.remove(params.item_id, preconditionOf(headers));
    },
  );
}

const present = ({ item, state, availability, hasHiddenStates }: ReadItem): Static<typeof Item> => ({
  ...presentItem(item),
  state,
  availability,
  has_hidden_states: hasHiddenStates,
});
