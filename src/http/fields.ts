import { Type } from 'typebox';
import { fromTime } from '../ingest/item-input.js';
import type { ItemFields } from '../domain/item.js';

const NAMES = ['title', 'author_id', 'attributes', 'available_from', 'expires_at'] as const;

/** One field of an item; `attributes.topic` names a single attribute. */
export const Field = Type.String({
  pattern: `^(${NAMES.join('|')}|attributes\\.[^,]{1,64})$`,
  description: `${NAMES.join(', ')} or attributes.NAME`,
});

/** Fields in a query string, separated by commas. */
export const FieldNames = Type.String({
  pattern: `^(${NAMES.join('|')}|attributes\\.[^,]{1,64})(,(${NAMES.join('|')}|attributes\\.[^,]{1,64})){0,31}$`,
});

const ATTRIBUTE = 'attributes.';

export function presentFields(item: ItemFields, names: readonly string[]): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const name of names) {
    if (name.startsWith(ATTRIBUTE)) {
      const key = name.slice(ATTRIBUTE.length);
      const attributes = (shown.attributes ?? {}) as Record<string, unknown>; // only ever set here
      shown.attributes = Object.hasOwn(item.attributes, key) ? { ...attributes, [key]: item.attributes[key] } : attributes;
    } else if (name === 'available_from' || name === 'expires_at') shown[name] = fromTime(item[name]);
    else shown[name] = item[name as 'title' | 'author_id' | 'attributes']; // the schema lets nothing else through
  }
  return shown;
}
