import { Type } from 'typebox';
import type { FieldError } from '../errors.js';
import type { ParsedItem } from '../ingest/item-input.js';

export const State = Type.String({ description: 'searchable | pending_features | stored | hidden' });

/** The acknowledgement of every write of an item. */
export const ReceiptSchema = Type.Object({
  item_id: Type.String(),
  state: Type.String({ description: 'searchable | pending_features | stored | hidden | deleted' }),
  sequence: Type.Integer(),
  searchable_after_ms: Type.Unsafe<number | null>({
    type: ['number', 'null'],
    description: 'Time until the item was searchable, ms. null: it has no vector yet.',
  }),
  applied_after_ms: Type.Number({
    description: 'Time until the write was durable and in effect for every later request, ms. With wait=stored a new vector comes later.',
  }),
  model: Type.Object({ fingerprint: Type.String(), version: Type.String() }, { description: 'The model that serves the item.' }),
});

export const WaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Union([Type.Literal('searchable'), Type.Literal('stored')], {
        description:
          'searchable: answer when every search finds the item. stored: answer when the write is durable and its fields are in effect; the vector follows.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const isErrors = (parsed: ParsedItem | FieldError[]): parsed is FieldError[] => Array.isArray(parsed);
