import { Type, type Static, type TSchema } from 'typebox';
import { MAX_ATTRIBUTE_NAME } from '../domain/attributes.js';
import { ID_SCHEMA, KNOWN_ID_SCHEMA } from '../ids.js';
import { UNKNOWN_TIME, type HiddenStates, type ItemFields } from '../domain/item.js';
import { InputError, invalidRequest, type FieldError } from '../errors.js';
import type { Artifact } from '../model/artifact.js';
import { layerNorms } from '../model/golden.js';
import { floatsOf, tensorOf } from '../model/safetensors.js';
import { compileSchema, fieldErrors, ruledBy } from '../schema.js';
import type { StoredItem } from '../store/items.js';
import { checkedTime } from '../time.js';

/** Of whatever comes into the store. */
export const Id = Type.String(ID_SCHEMA);
/** Of what the store may hold already. */
export const KnownId = Type.String(KNOWN_ID_SCHEMA);

const Time = Type.String({ format: 'date-time', description: 'RFC 3339, for example 2026-11-24T10:00:00Z' });
/** Lone surrogates cannot be stored as UTF-8: different texts would become the same. */
const WHOLE = ruledBy('^\\P{Cs}*$', 'must not hold half of a surrogate pair');
/** Of texts that are columns of their own: PostgreSQL keeps no NUL. */
export const PLAIN_TEXT = ruledBy('^[^\\u0000\\p{Cs}]*$', 'must hold neither NUL nor half of a surrogate pair');
const AttributeValue = Type.Union([
  Type.String({ maxLength: 4096, pattern: WHOLE }),
  Type.Number(),
  Type.Boolean(),
  Type.Array(Type.String({ maxLength: 256, pattern: WHOLE }), { maxItems: 100 }),
]);
const MAX_ATTRIBUTES = 64;
const ATTRIBUTE_NAME_RULE = `1 to ${MAX_ATTRIBUTE_NAME} characters, and not __proto__`;
/**
 * A lone surrogate cannot be stored as UTF-8. JSON bodies with a name `__proto__` are refused, because it is none in many programs that
 * read them; no other way in takes it either.
 */
export const AttributeName = Type.String({
  minLength: 1,
  maxLength: MAX_ATTRIBUTE_NAME,
  pattern: ruledBy('^(?!__proto__$)\\P{Cs}+$', `must be ${ATTRIBUTE_NAME_RULE}`),
  description: ATTRIBUTE_NAME_RULE,
});
/** Attributes by name. `additionalProperties` gives every name the schema of the value; `patternProperties` would miss names with a line break. */
const attributesOf = <Value extends TSchema>(value: Value) =>
  Type.Unsafe<Record<string, Static<Value>>>({
    type: 'object',
    propertyNames: AttributeName,
    additionalProperties: value,
    maxProperties: MAX_ATTRIBUTES,
  });
const Attributes = attributesOf(AttributeValue);

const RawStates = Type.Object(
  {
    dtype: Type.Union([Type.Literal('float16'), Type.Literal('float32')]),
    shape: Type.Array(Type.Integer({ minimum: 1, maximum: 65536 }), { minItems: 2, maxItems: 2, description: '[layers, hidden size]' }),
    data: Type.String({ description: 'base64, little-endian, row-major' }),
  },
  { additionalProperties: false },
);
const SafetensorsStates = Type.Object(
  {
    format: Type.Literal('safetensors'),
    data: Type.String({ description: 'base64 of a safetensors file with the tensor hidden_states [layers, hidden size], F16 or F32' }),
  },
  { additionalProperties: false },
);
/** Told apart by `format`, so that an error names the field and not the union. */
export const HiddenStatesBody = Type.Unsafe<Static<typeof RawStates> | Static<typeof SafetensorsStates>>({
  type: 'object',
  required: ['data'],
  if: { required: ['format'] },
  then: SafetensorsStates,
  else: RawStates,
});

export const ItemBody = Type.Object(
  {
    title: Type.Optional(Type.Union([Type.String({ maxLength: 8000, pattern: PLAIN_TEXT }), Type.Null()])),
    author_id: Type.Optional(Type.Union([Id, Type.Null()])),
    attributes: Type.Optional(Attributes),
    available_from: Type.Optional(Type.Union([Time, Type.Null()])),
    expires_at: Type.Optional(Type.Union([Time, Type.Null()])),
    hidden: Type.Optional(Type.Boolean()),
    hidden_states: Type.Optional(Type.Union([HiddenStatesBody, Type.Null()])),
  },
  { additionalProperties: false },
);
export type ItemBody = Static<typeof ItemBody>;

/** RFC 7396: what is absent stays, null clears; attributes are merged key by key. */
export const ItemPatch = Type.Object(
  {
    ...ItemBody.properties,
    attributes: Type.Optional(attributesOf(Type.Union([AttributeValue, Type.Null()]))),
  },
  { additionalProperties: false, minProperties: 1 },
);
export type ItemPatch = Static<typeof ItemPatch>;

export const ItemRow = Type.Object({ item_id: Id, ...ItemBody.properties }, { additionalProperties: false });
export type ItemRow = Static<typeof ItemRow>;

const toTime = (text: string | null | undefined): number | null => (text == null ? null : checkedTime(text));
export const fromTime = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());

export function fieldsOf(itemId: string, body: ItemBody): ItemFields {
  return {
    item_id: itemId,
    title: body.title ?? null,
    author_id: body.author_id ?? null,
    attributes: body.attributes ?? {},
    available_from: toTime(body.available_from),
    expires_at: toTime(body.expires_at),
    hidden: body.hidden ?? false,
  };
}

/** @throws ReelfuseError 422 `invalid_request` when there would be too many attributes */
export function patchFields({ created_at: _, updated_at: __, sequence: ___, ...stored }: StoredItem, patch: ItemPatch): ItemFields {
  const merged = { ...stored.attributes, ...patch.attributes };
  const attributes = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
  const count = Object.keys(attributes).length;
  if (count > MAX_ATTRIBUTES)
    throw invalidRequest([{ pointer: '/attributes', detail: `makes ${count} with those that are kept, allowed are ${MAX_ATTRIBUTES}` }]);
  return {
    ...stored,
    attributes,
    ...(patch.title !== undefined && { title: patch.title }),
    ...(patch.author_id !== undefined && { author_id: patch.author_id }),
    ...(patch.available_from !== undefined && { available_from: toTime(patch.available_from) }),
    ...(patch.expires_at !== undefined && { expires_at: toTime(patch.expires_at) }),
    ...(patch.hidden !== undefined && { hidden: patch.hidden }),
  };
}

export const presentItem = ({ available_from: from, expires_at: until, created_at: created, updated_at: updated, ...item }: StoredItem) => ({
  ...item,
  available_from: fromTime(from),
  expires_at: fromTime(until),
  created_at: fromTime(created === UNKNOWN_TIME ? null : created),
  updated_at: fromTime(updated),
});

/** Hidden states that a model expects. Another shape is refused at the input. */
export interface ExpectedShape {
  layers: number;
  width: number;
  /** [L], typical L2 norm of each layer; absent when the artifact does not hold them. */
  norms?: readonly number[] | null;
}

/** Null: the model takes no hidden states; those of an item are stored for another model. */
export function expectedBy({ manifest, norms }: Artifact): ExpectedShape | null {
  return manifest.variant === 'id' ? null : { layers: manifest.layers.count, width: manifest.hidden_dim, norms };
}

const WIDTH = { float16: 2, float32: 4 };
/** Factor by which another extractor, layer or unit changes norms; clips of one extractor differ less. */
const NORM_FACTOR = 100;

/** Decodes and checks shape, length, finiteness and norms. @returns [L, D], or an error with a pointer relative to the item */
export function parseHiddenStates(body: Static<typeof HiddenStatesBody>, expected: ExpectedShape | null): HiddenStates | FieldError {
  const raw = rawStates(body);
  if ('pointer' in raw) return raw;
  const { dtype, shape, data } = raw;
  const [layers = 0, width = 0] = shape;
  if (expected !== null && (layers !== expected.layers || width !== expected.width)) {
    return { pointer: '/hidden_states/shape', detail: `is [${layers}, ${width}], the active model wants [${expected.layers}, ${expected.width}]` };
  }
  const refuse = (detail: string): FieldError => ({ pointer: '/hidden_states/data', detail });
  const needed = layers * width * WIDTH[dtype];
  if (data.length !== needed) return refuse(`decodes to ${data.length} bytes, ${dtype} ${layers} × ${width} needs ${needed}`);
  if (isZero(data)) return refuse('holds only zeros, which the model reads as no features; leave hidden_states out instead');
  const states: HiddenStates = { dtype, shape: [layers, width], data };
  const fault = faultIn(states, expected);
  return fault === null ? states : refuse(fault);
}

export const isZero = (data: Uint8Array): boolean => data.every((byte) => byte === 0);

/** Why values of the right shape cannot come from the extractor of the model; null: they can. */
export function faultIn(states: HiddenStates, expected: ExpectedShape | null): string | null {
  if (hasNonFinite(states.data, states.dtype)) return 'holds NaN or infinite values';
  return expected?.norms == null ? null : strangeLayer(states, expected.norms);
}

/** Decodes the raw and the safetensors form. */
function rawStates(body: Static<typeof HiddenStatesBody>): { dtype: HiddenStates['dtype']; shape: number[]; data: Buffer } | FieldError {
  const data = Buffer.from(body.data, 'base64');
  if (!('format' in body)) return { dtype: body.dtype, shape: body.shape, data };
  try {
    const tensor = tensorOf(data, 'hidden_states');
    if (tensor.dtype !== 'F16' && tensor.dtype !== 'F32')
      return { pointer: '/hidden_states/data', detail: `holds ${tensor.dtype}, wanted is F16 or F32` };
    if (tensor.shape.length !== 2)
      return { pointer: '/hidden_states/shape', detail: `is [${tensor.shape.join(', ')}], wanted is [layers, hidden size]` };
    return { dtype: tensor.dtype === 'F16' ? 'float16' : 'float32', shape: tensor.shape, data: tensor.data };
  } catch (error) {
    if (error instanceof InputError) return { pointer: '/hidden_states/data', detail: error.message };
    throw error;
  }
}

/** Names the first layer whose norm no clip of this extractor has; null: there is none. */
function strangeLayer(states: HiddenStates, typical: readonly number[]): string | null {
  const norms = layerNorms(floatsOf(states.data, states.dtype === 'float16' ? 'F16' : 'F32'), typical.length);
  for (const [layer, norm] of norms.entries()) {
    const usual = typical[layer] ?? 0;
    if (usual > 0 && (norm > usual * NORM_FACTOR || norm < usual / NORM_FACTOR))
      return `layer ${layer} has the norm ${norm.toPrecision(3)}, of the model's own items it is about ${usual.toPrecision(3)}: is it another extractor or unit?`;
  }
  return null;
}

/** A float whose exponent bits are all set is NaN or infinite. */
function hasNonFinite(data: Uint8Array, dtype: HiddenStates['dtype']): boolean {
  if (dtype === 'float16') {
    for (let at = 1; at < data.length; at += 2) if (((data[at] as number) & 0x7c) === 0x7c) return true; // at < length
    return false;
  }
  for (let at = 3; at < data.length; at += 4) {
    if (((data[at] as number) & 0x7f) === 0x7f && ((data[at - 1] as number) & 0x80) === 0x80) return true; // both < length
  }
  return false;
}

const validateRow = compileSchema(ItemRow);

export interface ParsedItem {
  fields: ItemFields;
  hiddenStates: HiddenStates | null;
}

/** Parses one item of a batch or an import. @param prefix JSON pointer of the item within the input */
export function parseItemRow(value: unknown, prefix: string, expected: ExpectedShape | null): ParsedItem | FieldError[] {
  const errors = validateRow(value);
  if (errors !== null) return fieldErrors(errors, prefix);
  const { item_id: itemId, ...body } = value as ItemRow; // validated above
  return parseItem(itemId, body, prefix, expected);
}

export function parseItem(itemId: string, body: ItemBody, prefix: string, expected: ExpectedShape | null): ParsedItem | FieldError[] {
  const fields = fieldsOf(itemId, body);
  const { available_from: from, expires_at: until } = fields;
  if (from !== null && until !== null && until <= from)
    return [{ pointer: `${prefix}/expires_at`, detail: 'must be later than available_from: the item would never be served' }];
  if (body.hidden_states == null) return { fields, hiddenStates: null };
  const states = parseHiddenStates(body.hidden_states, expected);
  return 'pointer' in states ? [{ ...states, pointer: prefix + states.pointer }] : { fields, hiddenStates: states };
}
