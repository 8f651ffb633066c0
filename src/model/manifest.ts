import { Type, type Static } from 'typebox';

const count = (minimum: number) => Type.Integer({ minimum });
const FileDigest = Type.Object({ sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }), bytes: count(0) });

/** `model.json`, written by the Python package `dff`. Its SHA-256 is the model's fingerprint. */
export const Manifest = Type.Object({
  format: Type.Literal('reelfuse-dff'),
  format_version: Type.Literal(1),
  name: Type.String({ minLength: 1 }),
  version: Type.String({ minLength: 1 }),
  variant: Type.Union([Type.Literal('dff'), Type.Literal('id'), Type.Literal('replacement')]),
  dim: count(1),
  max_history: count(1),
  layers: Type.Object({ count: count(0), names: Type.Array(Type.String()) }),
  hidden_dim: count(0),
  similarity: Type.Union([Type.Literal('dot'), Type.Literal('cosine')]),
  temperature: Type.Number({ exclusiveMinimum: 0 }),
  padding_side: Type.Literal('left'),
  unknown_item_row: count(1),
  item_count: count(0),
  layer_weights: Type.Array(Type.Number()),
  extractor: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  training: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  files: Type.Record(Type.String(), FileDigest),
});
export type Manifest = Static<typeof Manifest>;
