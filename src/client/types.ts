import type { operations } from './openapi-types.js';

type Json<Content> = Content extends { content: { 'application/json': infer Body } } ? Body : never;
type Operation = keyof operations;
type BodyOf<Name extends Operation> = operations[Name] extends { requestBody: infer Body } ? Json<Body> : never;
type AnswerOf<Name extends Operation, Status extends number = 200> =
  operations[Name]['responses'] extends Record<Status, infer Answer> ? Json<Answer> : never;
type QueryOf<Name extends Operation> = NonNullable<operations[Name]['parameters']['query']>;

export type AttributeValue = string | number | boolean | readonly string[];

export type AttributeType = 'string' | 'number' | 'boolean' | 'time' | 'strings';

export interface Attribute {
  name: string;
  /** The declared type; null: not declared. */
  type: AttributeType | null;
  /** The declared type; without one, every type that values of items have had. */
  types: AttributeType[];
  declared_at: string | null;
  first_seen_at: string | null;
  /** Items that carry it now; null: the catalogue is still loading. */
  items: number | null;
}

interface Comparison {
  eq?: string | number | boolean;
  in?: readonly (string | number | boolean)[];
  gte?: string | number;
  gt?: string | number;
  lte?: string | number;
  lt?: string | number;
  exists?: boolean;
}

/** OpenAPI has no words for what nests in itself without an end; the server checks a filter field by field. */
export type Filter =
  | { all: readonly Filter[] }
  | { any: readonly Filter[] }
  | { not: Filter }
  /** An attribute, or author_id, item_id, created_at, available_from, expires_at; several comparisons must all hold. */
  | ({ field: string } & Comparison);

type WithFilters<Body> = Omit<Body, 'filter' | 'boosts'> & { filter?: Filter; boosts?: readonly { filter: Filter; factor: number }[] };

export type HiddenStates =
  /** `data`: base64, little-endian, row-major; `shape`: [layers, hidden size] */
  | { dtype: 'float16' | 'float32'; shape: readonly [layers: number, width: number]; data: string }
  /** `data`: base64 of a safetensors file with a tensor hidden_states */
  | { format: 'safetensors'; data: string };

type WithStates<Body> = Omit<Body, 'hidden_states'> & { hidden_states?: HiddenStates | null };

export type RecommendRequest = WithFilters<BodyOf<'recommend'>>;
export type RecommendQuery = Omit<QueryOf<'recommendForUser'>, 'filter' | 'fields'> & { filter?: Filter; fields?: readonly string[] };
export type SimilarRequest = WithFilters<BodyOf<'similarItems'>>;
export type Recommendations = AnswerOf<'recommend'>;
export type RecommendedItem = Recommendations['items'][number];
export type BatchedRecommendations = AnswerOf<'recommendBatch'>['results'][number];
export type ServedRecommendations = AnswerOf<'replayRecommendation'>;

export type ItemFields = WithStates<BodyOf<'putItem'>>;
export type ItemInput = WithStates<BodyOf<'putItems'>['items'][number]>;
export type ItemChange = WithStates<BodyOf<'patchItem'>>;
export type Item = AnswerOf<'getItem'>;
export type ItemQuery = Omit<QueryOf<'listItems'>, 'cursor'>;
export type ItemPage = AnswerOf<'listItems'>;
export type ItemReceipt = AnswerOf<'putItem'>;
/** The receipt of a row that landed, or why it did not. */
export type ItemResult = AnswerOf<'putItems'>['results'][number];

export type ItemMap = AnswerOf<'getMap'>;
export type ItemPlaces = AnswerOf<'placeItems'>;

type EventBody = BodyOf<'sendEvents'>['events'][number];
/** Without an `event_id` one is made before the first attempt, without `at` it is now. */
export type EventInput = Omit<EventBody, 'event_id' | 'at'> & { event_id?: string; at?: string | Date };
export type EventsAnswer = AnswerOf<'sendEvents'>;

export type History = AnswerOf<'getHistory'>;
export type ErasedUser = AnswerOf<'eraseUser'>;
export type UserPage = AnswerOf<'listUsers'>;
export type Models = AnswerOf<'listModels'>;
export type Model = Models['models'][number];
export type Swap = AnswerOf<'activateModel'>;
export type QualityReport = AnswerOf<'reportQuality'>;
export type Replicas = AnswerOf<'listReplicas'>;
export type Snapshot = AnswerOf<'writeSnapshot', 201>;
export type Status = AnswerOf<'ready'>;
