import { Type, type Static } from 'typebox';
import type { FieldError } from '../errors.js';
import { compileSchema, fieldErrors } from '../schema.js';
import type { HiddenStates, ItemFields, StoredItem } from '../store/store.js';

/** 1 to 128 visible characters. */
export const Id = Type.String({ minLength: 1, maxLength: 128, pattern: '^[^\\s\\p{C}]+$', description: '1 to 128 visible characters' });

const Time = Type.String({ format: 'date-time', description: 'RFC 3339, for example 2026-11-24T10:00:00Z' });
const AttributeValue = Type.Union([
  Type.String({ maxLength: 4096 }),
  Type.Number(),
  Type.Boolean(),
  Type.Array(Type.String({ maxLength: 256 }), { maxItems: 100 }),
]);
export const Attributes = Type.Record(Type.String({ minLength: 1, maxLength: 64 }), AttributeValue, { maxProperties: 64 });

export const HiddenStatesBody = Type.Object(
  {
    dtype: Type.Union([Type.Literal('float16'), Type.Literal('float32')]),
    shape: Type.Array(Type.Integer({ minimum: 1, maximum: 65536 }), { minItems: 2, maxItems: 2, description: '[layers, hidden size]' }),
    data: Type.String({ description: 'base64, little-endian, row-major' }),
  },
  { additionalProperties: false },
);

export const ItemBody = Type.Object(
  {
    title: Type.Optional(Type.Union([Type.String({ maxLength: 8000 }), Type.Null()])),
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
    attributes: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 64 }), Type.Union([AttributeValue, Type.Null()]), { maxProperties: 64 }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
);
export type ItemPatch = Static<typeof ItemPatch>;

export const ItemRow = Type.Object({ item_id: Id, ...ItemBody.properties }, { additionalProperties: false });
export type ItemRow = Static<typeof ItemRow>;

const toTime = (text: string | null | undefined): number | null => (text === null || text === undefined ? null : Date.parse(text));
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

export function patchFields({ created_at: _, updated_at: __, sequence: ___, ...stored }: StoredItem, patch: ItemPatch): ItemFields {
  const merged = { ...stored.attributes, ...patch.attributes };
  const attributes = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
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
  created_at: fromTime(created),
  updated_at: fromTime(updated),
});

/** What a model expects (null: no model is known yet); a shape that does not fit is an error at the door, not a vector of nonsense. */
export interface ExpectedShape {
  layers: number;
  width: number;
}

const WIDTH = { float16: 2, float32: 4 };

/** Checks shape, length and finiteness; pointers are relative to the item. */
export function parseHiddenStates(body: Static<typeof HiddenStatesBody>, expected: ExpectedShape | null): HiddenStates | FieldError {
  const [layers = 0, width = 0] = body.shape;
  if (expected !== null && (layers !== expected.layers || width !== expected.width)) {
    return { pointer: '/hidden_states/shape', detail: `is [${layers}, ${width}], the active model wants [${expected.layers}, ${expected.width}]` };
  }
  const data = Buffer.from(body.data, 'base64');
  const needed = layers * width * WIDTH[body.dtype];
  if (data.length !== needed)
    return { pointer: '/hidden_states/data', detail: `decodes to ${data.length} bytes, ${body.dtype} ${layers} × ${width} needs ${needed}` };
  if (data.every((byte) => byte === 0))
    return { pointer: '/hidden_states/data', detail: 'holds only zeros, which the model reads as no features; leave hidden_states out instead' };
  if (hasNonFinite(data, body.dtype)) return { pointer: '/hidden_states/data', detail: 'holds NaN or infinite values' };
  return { dtype: body.dtype, shape: [layers, width], data };
}

/** All exponent bits set = NaN or infinity. */
export function hasNonFinite(data: Buffer, dtype: HiddenStates['dtype']): boolean {
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

/** One item of a batch or an import. @param prefix where the item stands in the input, for pointers */
export function parseItemRow(value: unknown, prefix: string, expected: ExpectedShape | null): ParsedItem | FieldError[] {
  if (!validateRow(value)) return fieldErrors(validateRow.errors, prefix);
  const { item_id: itemId, ...body } = value as ItemRow; // validated above
  return parseItem(itemId, body, prefix, expected);
}

export function parseItem(itemId: string, body: ItemBody, prefix: string, expected: ExpectedShape | null): ParsedItem | FieldError[] {
  const fields = fieldsOf(itemId, body);
  if (body.hidden_states == null) return { fields, hiddenStates: null };
  const states = parseHiddenStates(body.hidden_states, expected);
  return 'pointer' in states ? [{ ...states, pointer: prefix + states.pointer }] : { fields, hiddenStates: states };
}
