import { Type } from 'typebox';
import type { FieldError } from '../errors.js';
import type { ParsedItem } from '../ingest/item-input.js';

export const State = Type.String({ description: 'searchable | pending_features | stored | hidden' });

/** What every write of an item is acknowledged with. */
export const ReceiptSchema = Type.Object({
  item_id: Type.String(),
  state: Type.String({ description: 'searchable | pending_features | stored | hidden | deleted' }),
  sequence: Type.Integer(),
  searchable_after_ms: Type.Unsafe<number | null>({ type: ['number', 'null'], description: 'null: it has no vector, or not yet' }),
  applied_after_ms: Type.Number({ description: 'until it was in effect for every later request; with wait=stored, until it was durable' }),
  model: Type.Object({ fingerprint: Type.String(), version: Type.String() }, { description: 'the generation that serves the item' }),
});

export const WaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Union([Type.Literal('searchable'), Type.Literal('stored')], { description: 'stored: answer when durable, searchable soon after' }),
    ),
  },
  { additionalProperties: false },
);

export const isErrors = (parsed: ParsedItem | FieldError[]): parsed is FieldError[] => Array.isArray(parsed);
