import type { Availability, Item, ItemState } from '../domain/item.js';

export interface CatalogueStatus {
  /** Number of items. */
  size: number;
  states: Record<ItemState, number>;
  /** Number of items that a search can find now. */
  findable: number;
  /** Number of graph nodes of items that no search may return. They slow searches down until a rebuild. */
  deadNodes: number;
}

/** Counts, samples and iterations over all items of a generation. */
export interface Catalogue {
  /** Cheap: every readiness probe calls it. */
  status(): Promise<CatalogueStatus>;
  /** Numbers of items that are not hidden but scheduled or expired. */
  countUnavailable(now: number): Promise<Record<Exclude<Availability, 'now'>, number>>;
  /** Number of items that carry an attribute. Cheap: a list of all attributes asks for each. */
  countWith(attribute: string): number;
  /** Up to `count` servable items with a vector, spread over the order in which they came. */
  sample(count: number, now: number): Promise<Item[]>;
  /** One item with a vector; undefined: there is none. */
  random(): Promise<Item | undefined>;
  /** All items, for rankings. Callers iterate in slices; items may be added and removed between two of them. */
  readonly all: { readonly size: number; items(): Iterable<Item> };
}
