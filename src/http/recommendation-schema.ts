import { Type, type Static, type TObject } from 'typebox';
import { KnownId } from '../ingest/item-input.js';
import { invalidRequest, type FieldError } from '../errors.js';
import { MAX_CURSOR_LENGTH } from '../recommend/cursors.js';
import type { Cap } from '../domain/caps.js';
import { plainRequest, type RecommendRequest } from '../recommend/request.js';
import { Field, FieldNames } from './fields.js';

const HOUR_MS = 3_600_000;
export const DEFAULT_K = 20;
/** Maximum k with explained layers: the runs of the item tower share one queue with ingest. */
const MAX_LAYERS_K = 50;
/** Copies of a clip have a cosine of 1, up to rounding. */
const DEFAULT_MAX_SIMILARITY = 0.999;
const K = Type.Integer({ minimum: 1, maximum: 500, default: DEFAULT_K });
const Ids = (maxItems: number, description: string) => Type.Optional(Type.Array(KnownId, { maxItems, description }));
const Filter = Type.Unsafe<unknown>({
  type: 'object',
  description:
    '{"all": […]}, {"any": […]}, {"not": …} or {"field": NAME, eq | in | gte | gt | lte | lt | exists: …}. NAME is an attribute, ' +
    'author_id, item_id, created_at, available_from or expires_at. An attribute that no item has is an error, and so is a value of another ' +
    'type. Times are compared as instants. All filters of a request together have at most 65,536 characters of JSON.',
});
const Hours = Type.Number({ exclusiveMinimum: 0, maximum: 100_000 });
const Factor = Type.Number({
  minimum: 0.001,
  maximum: 1000,
  description: 'Factor on the odds of being chosen: above 1 raises an item, below 1 lowers it.',
});
const Name = Type.String({ minLength: 1, maxLength: 64, pattern: '^[\\w.:-]+$' });

/** Options of recommendations for users and of similar items. */
const Shared = {
  k: Type.Optional(K),
  filter: Type.Optional(Filter),
  exclude: Ids(1000, 'Items that are never returned.'),
  exclude_seen: Type.Optional(
    Type.Boolean({
      default: true,
      description: 'true: the last 1,000 seen and the last 1,000 liked items are excluded; older ones can reappear. false: seen items can reappear.',
    }),
  ),
  seen_window_hours: Type.Optional(Type.Number({ ...Hours, description: 'Only items seen within this time are excluded, hours.' })),
  diversity: Type.Optional(
    Type.Number({ minimum: 0, maximum: 1, description: 'Maximal marginal relevance. 0: by score alone; 1: by difference alone.' }),
  ),
  max_per_author: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: 'Maximum number of items of an author_id on a page.' })),
  caps: Type.Optional(
    Type.Array(
      Type.Object(
        { field: Type.String({ minLength: 1, maxLength: 75 }), max: Type.Integer({ minimum: 1, maximum: 500 }) },
        { additionalProperties: false },
      ),
      {
        maxItems: 8,
        description:
          'Maximum number of items of each value of an attribute on a page. Explored items count, pinned ones do not. Of a list each entry counts.',
      },
    ),
  ),
  distinct_by: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 75,
      description: 'Attribute, or author_id, of which a page holds each value once: a cap of 1. For re-uploads, the id of the original.',
    }),
  ),
  near_duplicates: Type.Optional(
    Type.Object(
      { max_similarity: Type.Optional(Type.Number({ minimum: 0, maximum: 0.999999, default: DEFAULT_MAX_SIMILARITY })) },
      {
        additionalProperties: false,
        description:
          'Leaves out an item whose cosine with a better one of the page, a pinned one, or one of an earlier page that the search meets again is above ' +
          'max_similarity. Items without a vector stay.',
      },
    ),
  ),
  boosts: Type.Optional(
    Type.Array(Type.Object({ filter: Filter, factor: Factor }, { additionalProperties: false }), {
      maxItems: 16,
      description: 'Factors for items that match a filter. Boosts, freshness and rotation act among the 10,000 items that score most.',
    }),
  ),
  freshness: Type.Optional(
    Type.Object(
      { half_life_hours: Hours, factor: Factor },
      { additionalProperties: false, description: 'A factor that fades with the age of the item.' },
    ),
  ),
  rotation: Type.Optional(
    Type.Object(
      { window_hours: Hours, factor: Factor },
      { additionalProperties: false, description: 'A factor that applies once for each impression of the item by this user in the window.' },
    ),
  ),
  pins: Type.Optional(
    Type.Array(Type.Object({ item_id: KnownId, position: Type.Integer({ minimum: 1, maximum: 500 }) }, { additionalProperties: false }), {
      maxItems: 50,
      description: 'Items at fixed 1-based positions, regardless of filter, caps and seen items. The other items take the positions that are left.',
    }),
  ),
  min_score: Type.Optional(
    Type.Number({
      description:
        'Minimum score of the model, before boosts. Fallback, explored and pinned items pass. HNSW can overlook an item that passes; exact does not.',
    }),
  ),
  exploration: Type.Optional(
    Type.Object(
      { slots: Type.Integer({ minimum: 1, maximum: 50 }), seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 })) },
      {
        additionalProperties: false,
        description:
          'Number of slots, at most k, for new items whose impressions are below their budget. They are drawn uniformly among the freshest items that ' +
          'filter and caps allow. Fewer are drawn when there are fewer, or when pins take the slots.',
      },
    ),
  ),
  exact: Type.Optional(Type.Boolean({ default: false, description: 'Whether to score the whole catalogue instead of asking HNSW.' })),
  explain: Type.Optional(
    Type.Union([Type.Boolean(), Type.Literal('layers')], {
      description:
        'true adds ID shares, leave-one-out contributions of history items, and what moved the item. layers also adds the share of each layer, for k up to ' +
        `${MAX_LAYERS_K}; not in a batch, and null where the deadline came first.`,
    }),
  ),
  fields: Type.Optional(Type.Array(Field, { maxItems: 32, description: 'Fields of each item that the answer includes.' })),
  deadline_ms: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 60_000, description: 'Deadline, ms. Shortly before it the fallback ranking answers.' }),
  ),
  at_least_sequence: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'Waits until this change is in the store; 503 when it does not come. A vector is searchable when its PUT has returned; after wait=stored it ' +
        'follows later.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: MAX_CURSOR_LENGTH,
      description:
        'next_cursor of the page before. Items of earlier pages do not come again; caps and exploration begin anew. A cursor grows with the items ' +
        'shown, to 40 kB for 5,000: long sessions use POST.',
    }),
  ),
  experiment: Type.Optional(
    Type.Object(
      {
        name: Name,
        arm: Type.Optional(Name),
        arms: Type.Optional(
          Type.Array(
            Type.Object(
              { name: Name, weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e6, default: 1 })) },
              { additionalProperties: false },
            ),
            {
              minItems: 1,
              maxItems: 20,
            },
          ),
        ),
      },
      {
        additionalProperties: false,
        description:
          'arm: assigned by the caller. arms: the server assigns one by a stable hash of name and user_id; without user_id at random for each request.',
      },
    ),
  ),
};

export const RecommendBody = Type.Object(
  {
    user_id: Type.Optional(KnownId),
    history: Ids(1000, 'Further history, oldest first, appended to the stored history of user_id.'),
    without_history: Ids(1000, 'History items that are left out, to see what the answer would be without them.'),
    liked: Ids(50, 'Examples that count as just watched.'),
    disliked: Ids(50, 'Examples that the answer moves away from.'),
    fallback_mix_by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 75, description: 'Attribute, or author_id, whose values alternate in a fallback answer.' }),
    ),
    ...Shared,
  },
  { additionalProperties: false },
);
export type RecommendBody = Static<typeof RecommendBody>;

export const SimilarBody = Type.Object(
  { user_id: Type.Optional(Type.String({ ...KnownId, description: 'User whose seen items are left out.' })), ...Shared },
  { additionalProperties: false },
);
export type SimilarBody = Static<typeof SimilarBody>;

/** The most common options as a query string; `filter` is the JSON of a filter. */
export const RecommendQuery = Type.Object(
  {
    k: Type.Optional(K),
    exact: Type.Optional(Type.Boolean({ default: false })),
    explain: Type.Optional(Type.Boolean({ default: false })),
    exclude_seen: Type.Optional(Type.Boolean({ default: true })),
    diversity: Shared.diversity,
    max_per_author: Shared.max_per_author,
    deadline_ms: Shared.deadline_ms,
    at_least_sequence: Shared.at_least_sequence,
    cursor: Shared.cursor,
    filter: Type.Optional(Type.String({ maxLength: 8192, description: 'A filter as JSON.' })),
    fields: Type.Optional(FieldNames),
  },
  { additionalProperties: false },
);
export type RecommendQuery = Static<typeof RecommendQuery>;

/** Applies defaults and checks relations between fields. @throws ReelfuseError 422 `invalid_request` */
export function toRequest(body: RecommendBody & SimilarBody, similarTo: string | null): RecommendRequest {
  const { k = DEFAULT_K, pins = [], experiment, freshness, rotation, exploration, seen_window_hours: window, max_per_author: perAuthor } = body;
  const errors: FieldError[] = [];
  pins.forEach(({ item_id: itemId, position }, index) => {
    if (position > k) errors.push({ pointer: `/pins/${index}/position`, detail: `must be <= k, which is ${k}` });
    if (pins.findIndex((other) => other.item_id === itemId) !== index) errors.push({ pointer: `/pins/${index}/item_id`, detail: 'is pinned twice' });
    if (pins.findIndex((other) => other.position === position) !== index)
      errors.push({ pointer: `/pins/${index}/position`, detail: 'is the position of another pin' });
  });
  if (exploration !== undefined && exploration.slots > k) errors.push({ pointer: '/exploration/slots', detail: `must be <= k, which is ${k}` });
  if (body.explain === 'layers' && k > MAX_LAYERS_K)
    errors.push({ pointer: '/explain', detail: `layers needs k <= ${MAX_LAYERS_K}: each item takes one run of the item tower a layer` });
  if (experiment !== undefined && (experiment.arm === undefined) === (experiment.arms === undefined))
    errors.push({ pointer: '/experiment', detail: 'needs either arm or arms' });
  const names = experiment?.arms?.map(({ name }) => name) ?? [];
  const repeated = names.findIndex((name, n) => names.indexOf(name) < n);
  if (repeated >= 0) errors.push({ pointer: `/experiment/arms/${repeated}/name`, detail: 'is the name of an earlier arm' });
  if (similarTo === null && body.user_id === undefined && body.history === undefined && (body.liked ?? []).length === 0)
    errors.push({ pointer: '/user_id', detail: 'is required when there is neither history nor liked' });
  if (errors.length > 0) throw invalidRequest(errors);
  const caps: Cap[] = [...(perAuthor === undefined ? [] : [{ field: 'author_id', max: perAuthor }]), ...(body.caps ?? [])];
  return {
    ...plainRequest(k),
    userId: body.user_id ?? null,
    similarTo,
    history: body.history ?? [],
    without: body.without_history ?? [],
    liked: body.liked ?? [],
    disliked: body.disliked ?? [],
    filter: body.filter ?? null,
    exclude: body.exclude ?? [],
    excludeSeen: body.exclude_seen ?? true,
    seenWithinMs: window === undefined ? null : window * HOUR_MS,
    diversity: body.diversity ?? 0,
    caps,
    distinctBy: body.distinct_by ?? null,
    maxSimilarity: body.near_duplicates === undefined ? null : (body.near_duplicates.max_similarity ?? DEFAULT_MAX_SIMILARITY),
    boosts: body.boosts ?? [],
    freshness: freshness === undefined ? null : { halfLifeMs: freshness.half_life_hours * HOUR_MS, factor: freshness.factor },
    rotation: rotation === undefined ? null : { withinMs: rotation.window_hours * HOUR_MS, factor: rotation.factor },
    pins: pins.map(({ item_id: itemId, position }) => ({ itemId, position })),
    minScore: body.min_score ?? null,
    exploration: exploration === undefined ? null : { slots: exploration.slots, seed: exploration.seed ?? null },
    exact: body.exact ?? false,
    explain: body.explain !== undefined && body.explain !== false,
    explainLayers: body.explain === 'layers',
    deadlineMs: body.deadline_ms ?? null,
    atLeastSequence: body.at_least_sequence ?? null,
    cursor: body.cursor ?? null,
    experiment:
      experiment === undefined
        ? null
        : { name: experiment.name, arms: (experiment.arms ?? [{ name: experiment.arm ?? '' }]).map(({ name, weight = 1 }) => ({ name, weight })) },
    fallbackMix: body.fallback_mix_by ?? null,
    loggedOptions: loggedOptionsOf(body, similarTo),
  };
}

/** Options that shape an answer. */
const SHAPING = [
  'filter',
  'exclude_seen',
  'seen_window_hours',
  'diversity',
  'max_per_author',
  'caps',
  'distinct_by',
  'near_duplicates',
  'boosts',
  'freshness',
  'rotation',
  'pins',
  'min_score',
  'exploration',
  'exact',
  'deadline_ms',
  'fallback_mix_by',
] as const satisfies readonly (keyof RecommendBody)[];
const DEFAULTS: Partial<RecommendBody> = { exclude_seen: true, exact: false };

/** Options for the served log, by their API names, without those that have their defaults. */
function loggedOptionsOf(body: RecommendBody & SimilarBody, similarTo: string | null): Record<string, unknown> {
  const options: Record<string, unknown> = similarTo === null ? {} : { similar_to: similarTo };
  for (const name of SHAPING) if (body[name] !== undefined && body[name] !== DEFAULTS[name]) options[name] = body[name];
  return options;
}

/** A query string as a body: parses the filter. @throws ReelfuseError 422 `invalid_request` */
export function bodyOfQuery(userId: string, { filter, fields: _, ...rest }: RecommendQuery): RecommendBody {
  if (filter === undefined) return { user_id: userId, ...rest };
  try {
    return { user_id: userId, ...rest, filter: JSON.parse(filter) as unknown };
  } catch {
    throw invalidRequest([{ pointer: '/query/filter', detail: 'is not JSON' }]);
  }
}

const Nullable = (schema: object) => Type.Unsafe<unknown>({ anyOf: [schema, { type: 'null' }] });

const Explanation = Type.Object({
  id_share: Nullable({ type: 'number' }),
  history: Type.Array(Type.Object({ item_id: Type.String(), contribution: Type.Number() })),
  layers: Type.Optional(
    Nullable({ type: 'array', items: { type: 'number' }, description: 'Share of each layer in the item vector, measured by leaving it out.' }),
  ),
  moved_by: Type.Array(Type.String({ description: 'boost:N, freshness, rotation, diversity, exploration, pin' })),
});

export const Answer = Type.Object({
  recommendation_id: Type.String({ description: 'Id of this answer. Events can name it; GET /v1/recommendations/{id} replays it.' }),
  items: Type.Array(
    Type.Object({
      item_id: Type.String(),
      score: Type.Number(),
      reason: Type.String({ description: 'history | popular | similar | exploration | pinned' }),
      propensity: Type.Optional(Type.Number({ description: 'Of an explored item: the probability with which it was drawn.' })),
      item: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
      explain: Type.Optional(Explanation),
    }),
  ),
  next_cursor: Type.Unsafe<string | null>({ anyOf: [{ type: 'string' }, { type: 'null' }] }),
  end_reason: Nullable({
    type: 'string',
    enum: ['exhausted', 'session_full'],
    description: 'Why there is no next_cursor. session_full: a session shows at most 5,000 items; start another one.',
  }),
  fallback: Nullable({ type: 'string', enum: ['no_history', 'unknown_history', 'starting', 'deadline'] }),
  short_reason: Nullable({ type: 'string', enum: ['catalogue_exhausted', 'filter', 'caps', 'near_duplicates', 'min_score'] }),
  model: Type.Object({ fingerprint: Type.String(), version: Type.String() }),
  experiment: Type.Optional(Type.Object({ name: Type.String(), arm: Type.String() })),
  exploration_seed: Type.Optional(Type.Integer({ description: 'Seed of the draw. Sent again it gives the same draw.' })),
  sequence: Type.Integer({ description: 'Newest change of the store when the answer was begun. Events up to it are in the answer.' }),
  stale: Type.Optional(
    Type.Literal(true, {
      description: 'The server cannot reach the database: deleted items may be in the answer. Only where REELFUSE_STALE_ANSWERS is serve.',
    }),
  ),
  layer_weights: Type.Optional(Type.Array(Type.Number())),
  timings_ms: Type.Object({
    queue: Type.Number(),
    history: Type.Number(),
    user_tower: Type.Number(),
    search: Type.Number(),
    rules: Type.Number(),
    total: Type.Number(),
  }),
});
export type Answer = Static<typeof Answer>;

const Served = Type.Object({
  item_id: Type.String(),
  score: Type.Number(),
  reason: Type.String(),
  propensity: Type.Optional(Type.Number()),
  moved_by: Type.Optional(Type.Array(Type.String())),
});

export const Replay: TObject = Type.Object({
  recommendation_id: Type.String(),
  served_at: Type.String(),
  items: Type.Array(Served),
  model: Type.Object({ fingerprint: Type.String(), version: Type.String() }),
  k: Type.Integer(),
  sequence: Type.Integer({ description: 'Newest change of the store when the answer was begun.' }),
  offset: Type.Integer({ description: 'Number of items that earlier pages of the cursor have shown.' }),
  fallback: Nullable({ type: 'string' }),
  short_reason: Nullable({ type: 'string' }),
  experiment: Nullable({ type: 'object', additionalProperties: { type: 'string' } }),
  seed: Nullable({ type: 'integer' }),
  request: Type.Record(Type.String(), Type.Unknown(), {
    description: 'Options that shaped the answer, as they were sent, and similar_to. Never the user, a history, examples or excluded items.',
  }),
});
