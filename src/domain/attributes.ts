import { timeOf } from '../time.js';
import type { ItemFields } from './item.js';

/** `time` is a string in RFC 3339, `strings` a list of strings. */
export const ATTRIBUTE_TYPES = ['string', 'number', 'boolean', 'time', 'strings'] as const;
export type AttributeType = (typeof ATTRIBUTE_TYPES)[number];

/** Characters of the longest attribute name. */
export const MAX_ATTRIBUTE_NAME = 64;
/** The narrowest type of a value that the schema of items lets through. */
export function typeOfValue(value: unknown): AttributeType {
  if (typeof value === 'string') return timeOf(value) !== null ? 'time' : 'string';
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : 'strings';
}

/** Whether a value of this type may stand where the other one is declared: a time is a string, too. */
export const isOfType = (type: AttributeType, declared: AttributeType): boolean => type === declared || (type === 'time' && declared === 'string');

/** The types that conditions on an attribute may use; null: nobody has ever declared or written it. */
export type AttributeTypesOf = (name: string) => ReadonlySet<AttributeType> | null;

/** What the rules of a request are checked against. */
export interface AttributeNames {
  readonly typesOf: AttributeTypesOf;
  /** A known name that differs from this one by one or two characters; null: there is none. */
  nearest(name: string): string | null;
}

/** Reason why a rule with this attribute is refused. */
export function unknownAttribute(name: string, attributes: Pick<AttributeNames, 'nearest'>): string {
  const nearest = attributes.nearest(name);
  return `no item has had the attribute ${JSON.stringify(name)}, and it is not declared${nearest === null ? '' : `; did you mean ${JSON.stringify(nearest)}?`}`;
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
