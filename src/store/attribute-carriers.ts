import type { KnownAttribute } from '../domain/attribute-registry.js';
import { isOfType, typeOfValue, type AttributeType } from '../domain/attributes.js';

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

/** Whether no item can have another type than this one, by what the registry knows. */
export const hasOnly = (known: KnownAttribute | undefined, type: AttributeType): boolean =>
  known === undefined || known.types.every((had) => isOfType(had, type));
