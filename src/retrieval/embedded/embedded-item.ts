import type { Item, ItemFields } from '../../domain/item.js';

/** An item in the memory of this process. A change of fields replaces `fields` of the same object. */
export interface EmbeddedItem extends Item {
  fields: ItemFields;
  /** Row of its vector in the vector table; null while it has none. */
  readonly slot: number | null;
}
