import type { AttributeTypesOf } from '../domain/attributes.js';
import type { Availability, Item, ItemState } from '../domain/item.js';

export interface CatalogueStatus {
  /** All items. */
  size: number;
  states: Record<ItemState, number>;
  /** Items that a search can find now. */
  findable: number;
  /** Nodes of the index that no search finds any more; they slow it down until it is rebuilt. */
  deadNodes: number;
}

/** What is known of all items of a generation, beside searching them. */
export interface Catalogue {
  /** Cheap: asked by every probe. */
  status(): Promise<CatalogueStatus>;
  /** Items that are not hidden, but outside their time. */
  countUnavailable(now: number): Promise<Record<Exclude<Availability, 'now'>, number>>;
  readonly attributeTypes: AttributeTypesOf;
  /** Up to `count` servable items with a vector, spread over the order in which they came. */
  sample(count: number, now: number): Promise<Item[]>;
  /** One item with a vector; undefined: there is none. */
  random(): Promise<Item | undefined>;
  /** For rankings that go through everything, in slices; items may come and go meanwhile. */
  readonly all: { readonly size: number; items(): Iterable<Item> };
}
