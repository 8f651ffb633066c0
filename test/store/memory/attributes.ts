import { admitAttributes, declareAttribute, type KnownAttribute } from '../../../src/domain/attribute-registry.js';
import { isOfType, typeOfValue } from '../../../src/domain/attributes.js';
import { attributeInUse } from '../../../src/errors.js';
import type { AttributeStore } from '../../../src/store/attributes.js';
import { pageOf, type Shared } from './data.js';

export function createMemoryAttributes(shared: Shared): AttributeStore {
  const { attributes, items } = shared.data;
  const requireNone = (name: string, standsAgainst: (value: unknown) => boolean): void => {
    for (const { item } of items.values())
      if (Object.hasOwn(item.attributes, name) && standsAgainst(item.attributes[name])) throw attributeInUse(name, item.item_id);
  };
  return {
    list: async () => structuredClone(pageOf(attributes, null, Infinity)),
    declare: async (name, type) => {
      const known = declareAttribute(attributes, name, type, Date.now());
      requireNone(name, (value) => !isOfType(typeOfValue(value), type));
      change(shared, name, known);
      return known;
    },
    remove: async (name) => {
      const known = attributes.get(name);
      if (known === undefined) return null;
      requireNone(name, () => true);
      change(shared, name, null);
      return known;
    },
    onChange: (listener) => void shared.attributeListeners.add(listener),
  };
}

/** Registers the attributes of an item that is written. @throws ReelfuseError 422 `invalid_request` */
export function register(shared: Shared, written: Readonly<Record<string, unknown>>): void {
  for (const known of admitAttributes(shared.data.attributes, written, Date.now())) change(shared, known.name, known);
}

function change({ data: { attributes }, attributeListeners }: Shared, name: string, known: KnownAttribute | null): void {
  if (known === null) attributes.delete(name);
  else attributes.set(name, known);
  for (const listener of attributeListeners) listener(name, known);
}
