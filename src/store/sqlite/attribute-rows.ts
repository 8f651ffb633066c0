import type Database from 'better-sqlite3';
import type { KnownAttribute } from '../../domain/attribute-registry.js';
import { isOfType, typeOfValue, type AttributeType } from '../../domain/attributes.js';

type AttributeRow = [name: string, declared: AttributeType | null, types: string, declaredAt: number | null, firstSeenAt: number | null];

/** @returns a function that reads the registry, in the order of the names' UTF-8 bytes */
export function prepareAttributeList(database: Database.Database): () => KnownAttribute[] {
  const rows = database
    .prepare<[], AttributeRow>('SELECT name, declared_type, types, declared_at, first_seen_at FROM attributes ORDER BY name')
    .raw();
  return () =>
    rows.all().map(([name, declared, types, declaredAt, firstSeenAt]) => ({
      name,
      declared,
      types: JSON.parse(types) as AttributeType[], // written by this program only
      declared_at: declaredAt,
      first_seen_at: firstSeenAt,
    }));
}

/** How the name of an attribute stands in the JSON of items that carry it, and perhaps of others. */
export const keyText = (name: string): string => `${JSON.stringify(name)}:`;

/** An item whose attributes hold the text of a key. */
export type Suspect = [itemId: string, attributes: string];

/** Whether an item stands against a change of the registry: it carries a value that this function is true for. */
export type StandsAgainst = (value: unknown) => boolean;

export const notOfType =
  (type: AttributeType): StandsAgainst =>
  (value) =>
    !isOfType(typeOfValue(value), type);

/** For the message of a refused declaration. */
export const withOtherType = (type: AttributeType): string => `, with a value that is not of the type ${type}`;

/** @returns the first item that carries the attribute with such a value; null: none does */
export function findCarrier(suspects: Iterable<Suspect>, name: string, standsAgainst: StandsAgainst): string | null {
  for (const [itemId, text] of suspects) {
    const attributes = JSON.parse(text) as Record<string, unknown>; // written by this program only
    if (Object.hasOwn(attributes, name) && standsAgainst(attributes[name])) return itemId;
  }
  return null;
}
