import { admitAttributes, createAttributeRegistry, type AttributeRegistry, type KnownAttribute } from '../../src/domain/attribute-registry.js';

/** The registry after items with these attributes were written. */
export function registryOf(items: readonly Readonly<Record<string, unknown>>[]): AttributeRegistry {
  const entries = new Map<string, KnownAttribute>();
  for (const attributes of items) for (const known of admitAttributes(entries, attributes, 1)) entries.set(known.name, known);
  return createAttributeRegistry(entries.values());
}
