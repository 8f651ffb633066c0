import { timeOf } from '../time.js';
import type { ItemFields } from './item.js';

export type AttributeType = 'string' | 'number' | 'boolean' | 'list' | 'time';

/** The types that an attribute has among the items; null: no item has this attribute. */
export type AttributeTypesOf = (name: string) => ReadonlySet<AttributeType> | null;

/** Counts the types of each attribute over the items of a catalogue. A filter on an attribute or type that no item has is refused. */
export interface AttributeTypes {
  add(attributes: Record<string, unknown>): void;
  remove(attributes: Record<string, unknown>): void;
  of: AttributeTypesOf;
}

/** A string that is an RFC 3339 time has both types. */
function typesOf(value: unknown): readonly AttributeType[] {
  if (typeof value === 'string') return timeOf(value) !== null ? ['string', 'time'] : ['string'];
  if (typeof value === 'number') return ['number'];
  if (typeof value === 'boolean') return ['boolean'];
  return ['list'];
}

/** Starts without items: no attribute has a type. */
export function createAttributeTypes(): AttributeTypes {
  const counts = new Map<string, Map<AttributeType, number>>();
  const count = (attributes: Record<string, unknown>, step: 1 | -1): void => {
    for (const [name, value] of Object.entries(attributes)) {
      const types = counts.get(name) ?? new Map<AttributeType, number>();
      for (const type of typesOf(value)) {
        const next = (types.get(type) ?? 0) + step;
        if (next > 0) types.set(type, next);
        else types.delete(type);
      }
      if (types.size > 0) counts.set(name, types);
      else counts.delete(name);
    }
  };
  return {
    add: (attributes) => count(attributes, 1),
    remove: (attributes) => count(attributes, -1),
    of: (name) => {
      const types = counts.get(name);
      return types === undefined ? null : new Set(types.keys());
    },
  };
}

/** `attributes.NAME` and `NAME` name the same attribute. */
export const attributeName = (field: string): string => field.replace(/^attributes\./, '');

const NO_VALUES: readonly unknown[] = [];

/** The distinct values of an attribute or of author_id. A list yields its entries, an absent attribute yields none. */
export function valuesOf({ fields }: { readonly fields: ItemFields }, field: string): readonly unknown[] {
  const name = attributeName(field);
  const value = field === 'author_id' ? fields.author_id : Object.hasOwn(fields.attributes, name) ? fields.attributes[name] : null;
  if (value === null) return NO_VALUES;
  return Array.isArray(value) ? [...new Set<unknown>(value)] : [value];
}
