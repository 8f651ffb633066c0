import { setImmediate as nextTurn } from 'node:timers/promises';
import { Type, type Static } from 'typebox';
import { AVAILABILITIES, ITEM_STATES, availabilityOf } from '../retrieval/embedded/catalogue.js';
import { stateIn } from '../generations/generation.js';
import type { Precondition } from '../ingest/items.js';
import { type ExpectedShape, Id, ItemBody, ItemPatch, parseHiddenStates, parseItem, patchFields, presentItem } from '../ingest/item-input.js';
import { invalidRequest, notFound } from '../errors.js';
import type { Services } from '../composition/embedded.js';
import type { StoredItem } from '../store/store.js';
import { ReceiptSchema, State, WaitQuery, expectedShape, isErrors, requireReady } from './item-receipt.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Headers = Type.Object({ 'if-match': Type.Optional(Type.String()), 'if-none-match': Type.Optional(Type.String()) });
const Params = Type.Object({ item_id: Id });
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

export function registerItems(app: TypedApp, services: Services): void {
  const expected = (): ExpectedShape | null => expectedShape(services);

  app.put(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
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
      requireReady(services);
      const parsed = parseItem(params.item_id, body, '', expected());
      if (isErrors(parsed)) throw invalidRequest(parsed);
      const options = { precondition: preconditionOf(headers), wait: query.wait };
      const { created, ...receipt } = await services.ingest.put(parsed.fields, parsed.hiddenStates, options);
      void reply.status(created ? 201 : 200).header('etag', etagOf(receipt.sequence));
      return receipt;
    },
  );

  app.patch(
    '/v1/items/:item_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['items'],
        operationId: 'patchItem',
        summary: 'Change fields of an item by JSON merge patch, where null clears a field or an attribute; in effect when this returns',
        params: Params,
        querystring: WaitQuery,
        headers: Headers,
        body: ItemPatch,
        response: { 200: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, query, headers, body }, reply) => {
      requireReady(services);
      const states = body.hidden_states == null ? body.hidden_states : parseHiddenStates(body.hidden_states, expected());
      if (states != null && 'pointer' in states) throw invalidRequest([states]);
      const change = { fields: (stored: StoredItem) => patchFields(stored, body), ...(states !== undefined && { hiddenStates: states }) };
      const options = { precondition: preconditionOf(headers), wait: query.wait };
      const receipt = await services.ingest.patch(params.item_id, change, options);
      void reply.header('etag', etagOf(receipt.sequence));
      return receipt;
    },
  );

  app.get(
    '/v1/items/:item_id',
    {
      config: { scope: 'recommend' },
      schema: { tags: ['items'], operationId: 'getItem', summary: 'Get one item', params: Params, response: { 200: Item, ...problemResponses } },
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
        operationId: 'listItems',
        summary: 'List items by item_id, one page a call',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
            cursor: Type.Optional(Id),
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
      const limit = query.limit ?? 100;
      const isWanted = ({ state, availability }: Static<typeof Item>): boolean =>
        (query.state === undefined || query.state === state) && (query.availability === undefined || query.availability === availability);
      const found: Static<typeof Item>[] = [];
      let cursor = query.cursor ?? null;
      for (;;) {
        const page = services.store.items(cursor, limit);
        for (const item of page) {
          cursor = item.item_id;
          const presented = present(services, item);
          if (isWanted(presented)) found.push(presented);
          if (found.length === limit) return { items: found, next_cursor: cursor };
        }
        if (page.length < limit) return { items: found, next_cursor: null };
        await nextTurn(); // a rare one may need many pages; other requests come in between
      }
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
        params: Params,
        headers: Headers,
        response: { 200: ReceiptSchema, ...problemResponses },
      },
    },
    async ({ params, headers }) => {
      requireReady(services);
      const receipt = await services.ingest.remove(params.item_id, preconditionOf(headers));
      services.popularity.release(params.item_id);
      return receipt;
    },
  );
}

function present({ generation, store }: Services, item: StoredItem): Static<typeof Item> {
  return {
    ...presentItem(item),
    state: stateIn(generation, item.item_id),
    availability: availabilityOf(item, Date.now()),
    has_hidden_states: store.hasHiddenStates(item.item_id),
  };
}
