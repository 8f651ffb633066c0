import { isServable, type Catalogue, type CatalogueItem } from '../catalog/catalogue.js';
import type { Searched } from '../model/recommender-pool.js';
import type { Recommended } from './request.js';

export const isAllowed = (item: CatalogueItem, withheld: ReadonlySet<string>, now: number): boolean =>
  isServable(item, now) && !withheld.has(item.fields.item_id);

export interface Limits {
  withheld: ReadonlySet<string>;
  k: number;
  /** Similarities are divided by it. */
  temperature: number;
  reason: Recommended['reason'];
}

/** The best k allowed items; candidates come by falling similarity. */
export function applyRules(catalogue: Catalogue, found: Searched, { withheld, k, temperature, reason }: Limits, now: number): Recommended[] {
  const kept: Recommended[] = [];
  for (let rank = 0; rank < found.slots.length && kept.length < k; rank++) {
    const item = catalogue.atSlot(found.slots[rank] as number); // rank < length
    if (item === undefined || !isAllowed(item, withheld, now)) continue;
    kept.push({ item, score: (found.similarities[rank] as number) / temperature, reason });
  }
  return kept;
}
