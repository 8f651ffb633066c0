import type { Item } from '../../domain/item.js';

/** An item in the memory of this process. A change makes another object: a request that holds this one sees one state of it. */
export interface EmbeddedItem extends Item {
  /** Row of its vector in the vector table; null while it has none. */
  readonly slot: number | null;
}
