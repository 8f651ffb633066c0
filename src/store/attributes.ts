import type { KnownAttribute } from '../domain/attribute-registry.js';
import type { AttributeType } from '../domain/attributes.js';

/**
 * The registry of attributes. A name that an item has carried stays known when the item is deleted. The write of an item registers new
 * names and types in its own transaction, and is refused when a value has another type than the declared one.
 */
export interface AttributeStore {
  /** In the order of the names' UTF-8 bytes. */
  list(): Promise<KnownAttribute[]>;
  /**
   * Declares a type beforehand, or for a known attribute. Items are written meanwhile; afterwards no item carries another type.
   * @throws ReelfuseError 409 `attribute_in_use` when an item carries another type, 422 `invalid_request` when there are too many names
   */
  declare(name: string, type: AttributeType): Promise<KnownAttribute>;
  /** Deletes an attribute. Null: it is not known. @throws ReelfuseError 409 `attribute_in_use` when an item carries it */
  remove(name: string): Promise<KnownAttribute | null>;
  /** Calls the listener with each attribute that becomes known, changes or is deleted (null), before the write resolves. */
  onChange(listener: (name: string, known: KnownAttribute | null) => void): void;
}
