import { setImmediate as nextTurn } from 'node:timers/promises';
import { availabilityOf, stateOf, type Availability, type ItemState } from '../../domain/item.js';
import type { EmbeddedItem } from './embedded-item.js';

/** Items counted in one turn of the event loop. */
const SLICE = 4096;

/** Counts over all items, updated with each change. */
export interface Totals {
  add(item: EmbeddedItem): void;
  remove(item: EmbeddedItem): void;
  states(): Record<ItemState, number>;
  /** Number of items that carry an attribute. */
  countWith(attribute: string): number;
  /** Counts scheduled and expired items: iterates over the items with a time, in slices. */
  countUnavailable(now: number): Promise<Record<Exclude<Availability, 'now'>, number>>;
}

/** @param takesFeatures whether the model fuses items from hidden states */
export function createTotals(takesFeatures: boolean): Totals {
  const states: Record<ItemState, number> = { searchable: 0, pending_features: 0, stored: 0, hidden: 0 };
  const carriers = new Map<string, number>();
  const timed = new Set<EmbeddedItem>();
  const count = (item: EmbeddedItem, step: 1 | -1): void => {
    states[stateOf(item.fields, item.slot !== null, takesFeatures)] += step;
    for (const name of Object.keys(item.fields.attributes)) {
      const left = (carriers.get(name) ?? 0) + step;
      if (left > 0) carriers.set(name, left);
      else carriers.delete(name);
    }
  };
  return {
    add: (item) => {
      count(item, 1);
      if (item.fields.available_from !== null || item.fields.expires_at !== null) timed.add(item);
    },
    remove: (item) => {
      count(item, -1);
      timed.delete(item);
    },
    states: () => ({ ...states }),
    countWith: (attribute) => carriers.get(attribute) ?? 0,
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
