import { Type } from 'typebox';
import { isServable } from '../domain/item.js';
import { KnownId } from '../ingest/item-input.js';
import type { ServingGeneration } from '../recommend/recommender.js';
import type { ItemMaps, MapPoint } from '../reports/item-map.js';
import { FieldNames, presentFields } from './fields.js';
import { problemResponses } from './problem.js';
import { requireReady, type Readiness } from './readiness.js';
import type { TypedApp } from './typed-app.js';

const MAX_POSITIONS = 1000;

const Model = Type.Object({ fingerprint: Type.String(), version: Type.String() });
const MadeAt = Type.String({ description: 'Positions are comparable between answers of the same model and time.' });
const Placed = { item_id: Type.String(), x: Type.Number(), y: Type.Number() };

const MapSchema = Type.Object({
  model: Model,
  made_at: MadeAt,
  items: Type.Integer({ description: 'Number of items that a search can find. The points are a sample of them.' }),
  variance: Type.Array(Type.Number(), { minItems: 2, maxItems: 2, description: 'Share of the variance of the fused vectors along x and y.' }),
  points: Type.Array(Type.Object({ ...Placed, item: Type.Optional(Type.Record(Type.String(), Type.Unknown())) })),
});
const PositionsSchema = Type.Object({
  model: Model,
  made_at: MadeAt,
  positions: Type.Array(Type.Object(Placed), { description: 'Positions of the items that have a vector, in the order of the request.' }),
});

/** Four decimals are enough for drawing. */
const rounded = ({ x, y }: MapPoint) => ({ x: Math.round(x * 1e4) / 1e4, y: Math.round(y * 1e4) / 1e4 });

const modelOf = ({ model: { fingerprint, version } }: ServingGeneration) => ({ fingerprint, version });

export interface MapRoutes extends Readiness {
  serving: () => ServingGeneration;
  maps: ItemMaps;
}

export function registerMap(app: TypedApp, routes: MapRoutes): void {
  app.get(
    '/v1/map',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['items'],
        operationId: 'getMap',
        summary: 'Get a sample of the catalogue on a plane: fused vectors along their two principal axes',
        description: 'The server computes the map once for each model, between requests, and again when the catalogue has grown or shrunk by half.',
        querystring: Type.Object({ fields: Type.Optional(FieldNames) }, { additionalProperties: false }),
        response: { 200: MapSchema, ...problemResponses },
      },
    },
    async ({ query }) => {
      requireReady(routes);
      const generation = routes.serving();
      const map = await routes.maps.of(generation);
      const fields = query.fields?.split(',') ?? [];
      const now = Date.now();
      const points = (await map.sample()).filter(({ item }) => isServable(item, now));
      return {
        model: modelOf(generation),
        made_at: new Date(map.madeAt).toISOString(),
        items: (await generation.catalogue.status()).findable,
        variance: [...map.variance],
        points: points.map((point) => ({
          item_id: point.item.fields.item_id,
          ...rounded(point),
          ...(fields.length > 0 && { item: presentFields(point.item.fields, fields) }),
        })),
      };
    },
  );

  app.post(
    '/v1/map/positions',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['items'],
        operationId: 'placeItems',
        summary: 'Get positions of given items on the map, whether they are in its sample or not',
        body: Type.Object({ item_ids: Type.Array(KnownId, { minItems: 1, maxItems: MAX_POSITIONS }) }, { additionalProperties: false }),
        response: { 200: PositionsSchema, ...problemResponses },
      },
    },
    async ({ body }) => {
      requireReady(routes);
      const generation = routes.serving();
      const map = await routes.maps.of(generation);
      const known = (await generation.retrieval.find(body.item_ids)).filter((item) => item !== undefined);
      const positions = (await map.pointsOf(known)).map((point) => ({ item_id: point.item.fields.item_id, ...rounded(point) }));
      return { model: modelOf(generation), made_at: new Date(map.madeAt).toISOString(), positions };
    },
  );
}
