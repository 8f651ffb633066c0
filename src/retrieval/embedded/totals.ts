import { setImmediate as nextTurn } from 'node:timers/promises';
import { createAttributeTypes, type AttributeTypesOf } from '../../domain/attributes.js';
import { availabilityOf, stateOf, type Availability, type ItemState } from '../../domain/item.js';
import type { EmbeddedItem } from './embedded-item.js';

/** Items between two turns of the event loop while those outside their time are counted. */
const SLICE = 4096;

/** What is counted over all items, kept up to date with each. */
export interface Totals {
  add(item: EmbeddedItem): void;
  remove(item: EmbeddedItem): void;
  states(): Record<ItemState, number>;
  readonly attributeTypes: AttributeTypesOf;
  /** Goes through the items that have a time, in slices. */
  countUnavailable(now: number): Promise<Record<Exclude<Availability, 'now'>, number>>;
}

/** @param takesFeatures whether the model places items by hidden states */
export function createTotals(takesFeatures: boolean): Totals {
  const states: Record<ItemState, number> = { searchable: 0, pending_features: 0, stored: 0, hidden: 0 };
  const attributes = createAttributeTypes();
  const timed = new Set<EmbeddedItem>();
  const count = (item: EmbeddedItem, step: 1 | -1): void => {
    states[stateOf(item.fields, item.slot !== null, takesFeatures)] += step;
  };
  return {
    add: (item) => {
      count(item, 1);
      attributes.add(item.fields.attributes);
      if (item.fields.available_from !== null || item.fields.expires_at !== null) timed.add(item);
    },
    remove: (item) => {
      count(item, -1);
      attributes.remove(item.fields.attributes);
      timed.delete(item);
    },
    states: () => ({ ...states }),
    attributeTypes: attributes.of,
    countUnavailable: async (now) => {
      const found = { scheduled: 0, expired: 0 };
      let looked = 0;
      for (const { fields } of timed) {
        const availability = availabilityOf(fields, now);
        if (!fields.hidden && availability !== 'now') found[availability]++;
        if (++looked % SLICE === 0) await nextTurn();
      }
      return found;
    },
  };
}
