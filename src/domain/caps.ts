import { attributeName, valuesOf } from './attributes.js';
import type { Filter, FilterField, FilterValue } from './filter.js';
import type { Item } from './item.js';

/** At most `max` items for each value of a field. Each entry of a list counts; items without the field do not count. */
export interface Cap {
  field: string;
  max: number;
}

/** Counts the chosen items, and says whether the caps admit another one. */
export interface CapCounter {
  admits(item: Item): boolean;
  count(item: Item): void;
  /** Lets through what the caps still admit; null: everything. */
  remaining(): Filter | null;
}

/** @param factor multiplies the maximum of each cap */
export function countCaps(caps: readonly Cap[], factor = 1): CapCounter {
  const counted = caps.map(({ field, max }) => ({ field, max: max * factor, counts: new Map<unknown, number>() }));
  return {
    admits: (item) => counted.every(({ field, max, counts }) => valuesOf(item, field).every((value) => (counts.get(value) ?? 0) < max)),
    count: (item) => {
      for (const { field, counts } of counted) for (const value of valuesOf(item, field)) counts.set(value, (counts.get(value) ?? 0) + 1);
    },
    remaining: () => {
      const full = counted.flatMap(({ field, max, counts }): Filter[] => {
        const values = Array.from(counts).flatMap(([value, count]) => (count >= max ? [value as FilterValue] : [])); // of an attribute, which is a scalar
        return values.length === 0 ? [] : [{ not: { field: fieldOf(field), in: values, instants: [] } }];
      });
      return full.length === 0 ? null : { all: full };
    },
  };
}

const fieldOf = (field: string): FilterField => (field === 'author_id' ? { builtIn: field } : { attribute: attributeName(field) });
