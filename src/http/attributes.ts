import { Type, type Static } from 'typebox';
import type { AttributeRegistry, KnownAttribute } from '../domain/attribute-registry.js';
import { ATTRIBUTE_TYPES } from '../domain/attributes.js';
import { notFound } from '../errors.js';
import { AttributeName, fromTime } from '../ingest/item-input.js';
import type { AttributeStore } from '../store/attributes.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const AttributeType = Type.Union(ATTRIBUTE_TYPES.map((type) => Type.Literal(type)));
const Nullable = (schema: object) => Type.Unsafe<string | null>({ ...schema, type: ['string', 'null'] });

const Attribute = Type.Object({
  name: Type.String(),
  type: Nullable({ description: 'The declared type. null: not declared, values of every type are accepted.' }),
  types: Type.Array(Type.String(), { description: 'The declared type; without one, every type that values of items have had.' }),
  declared_at: Nullable({ description: 'RFC 3339; null: not declared.' }),
  first_seen_at: Nullable({ description: 'When an item carried it first, RFC 3339. null: no item has.' }),
  items: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'Items that carry it now. null: the catalogue is still loading.' }),
});
const Params = Type.Object({ name: AttributeName });

export interface AttributeRoutes {
  store: Pick<AttributeStore, 'declare' | 'remove'>;
  registry: Pick<AttributeRegistry, 'get' | 'all'>;
  /** Number of items that carry an attribute; null while the catalogue is loading. */
  countWith(name: string): number | null;
}

export function registerAttributes(app: TypedApp, routes: AttributeRoutes): void {
  const present = (known: KnownAttribute): Static<typeof Attribute> => ({
    name: known.name,
    type: known.declared,
    types: [...known.types],
    declared_at: fromTime(known.declared_at),
    first_seen_at: fromTime(known.first_seen_at),
    items: routes.countWith(known.name),
  });

  app.get(
    '/v1/attributes',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['attributes'],
        operationId: 'listAttributes',
        summary: 'List all attributes that an item has carried or that are declared, by name',
        response: { 200: Type.Object({ attributes: Type.Array(Attribute) }), ...problemResponses },
      },
    },
    async () => ({ attributes: routes.registry.all().map(present) }),
  );

  app.get(
    '/v1/attributes/:name',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['attributes'],
        operationId: 'getAttribute',
        summary: 'Get one attribute',
        params: Params,
        response: { 200: Attribute, ...problemResponses },
      },
    },
    async ({ params }) => {
      const known = routes.registry.get(params.name);
      if (known === null) throw notFound('attribute', params.name);
      return present(known);
    },
  );

  app.put(
    '/v1/attributes/:name',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['attributes'],
        operationId: 'declareAttribute',
        summary: 'Declare the type of an attribute, before or after items carry it',
        description:
          'From then on an item with another type is refused by 422, at /attributes/NAME. Filters, boosts and caps on the attribute are valid ' +
          'whether an item carries it or not. 409 attribute_in_use: an item carries another type; the declaration has changed nothing. A time is a ' +
          'string in RFC 3339 and may stand where a string is declared. The same declaration again changes nothing.',
        params: Params,
        body: Type.Object({ type: AttributeType }, { additionalProperties: false }),
        response: { 200: Attribute, ...problemResponses },
      },
    },
    async ({ params, body }) => present(await routes.store.declare(params.name, body.type)),
  );

  app.delete(
    '/v1/attributes/:name',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['attributes'],
        operationId: 'deleteAttribute',
        summary: 'Delete an attribute that no item carries; filters, boosts and caps on it are refused from then on',
        description:
          'For a name that was misspelled once: it would stay known, and the typo in a filter would not be noticed. 409: an item carries it.',
        params: Params,
        response: { 200: Attribute, ...problemResponses },
      },
    },
    async ({ params }) => {
      const removed = await routes.store.remove(params.name);
      if (removed === null) throw notFound('attribute', params.name);
      return { ...present(removed), items: 0 };
    },
  );
}
