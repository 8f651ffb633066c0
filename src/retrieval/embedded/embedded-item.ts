import type { Item, ItemFields } from '../../domain/item.js';

/** An item in this process's memory; its fields change in place. */
export interface EmbeddedItem extends Item {
  fields: ItemFields;
  /** Row of its vector; null while it has none. */
  readonly slot: number | null;
}
