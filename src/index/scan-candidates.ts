import type { RoundedRows } from './rounded-rows.js';
import { GROUP, type ScanProducts } from './scan-product.js';
import { createScratch } from './scratch.js';
import { KEY_SLOTS, siftDown, siftUp } from './slot-keys.js';

/**
 * Chooses the slots of one query that are scored again in full precision. Its results are valid until the next call.
 * `pick` reads some thousand products a query and drops most by a comparison of integers: 9,649 → 10,142 requests/s (bench/LOG.md).
 */
export interface ScanCandidates {
  /** Begins a query whose answer must not hold these slots. */
  exclude(slots: Int32Array): void;
  /** Whether the current query excludes the slot. */
  isExcluded(slot: number): boolean;
  /**
   * The `wanted` slots with the largest products among groups [from, to), as keys of product and slot, in no order. Fewer only
   * where exclusions and free rows leave fewer.
   */
  pick(products: ScanProducts, from: number, to: number, wanted: number): Float64Array;
  /** The slots of these keys, and all outliers that are not excluded. */
  slotsOf(keys: Float64Array): Int32Array;
}

export function createScanCandidates(rows: RoundedRows): ScanCandidates {
  /** Slot → number of the last query that excluded it: nothing has to be cleared between queries. */
  let marks = new Uint32Array(0);
  let queryNumber = 0;
  const keyScratch = createScratch(Float64Array);
  const slotScratch = createScratch(Int32Array);

  return {
    exclude: (slots) => {
      if (marks.length < rows.used) marks = new Uint32Array(rows.capacity);
      queryNumber = (queryNumber + 1) >>> 0 || 1;
      for (const slot of slots) marks[slot] = queryNumber;
    },
    isExcluded: (slot) => marks[slot] === queryNumber,
    pick: ({ groups, maxima, products }, from, to, wanted) => {
      const picked = keyScratch(wanted);
      let found = 0;
      // below the least maximum there may be better ones in other groups
      let leastProduct = 0x7fffffff;
      for (let group = from; group < to; group++) leastProduct = Math.min(leastProduct, maxima[group] as number); // group < length
      let least = leastProduct * KEY_SLOTS - 1;
      for (let group = from; group < to; group++) {
        const first = (groups[group] as number) * GROUP; // group < length
        if ((maxima[group] as number) * KEY_SLOTS + first + GROUP <= least) continue;
        for (let member = 0; member < GROUP; member++) {
          const product = products[group * GROUP + member] as number; // GROUP products a group
          if (product < leastProduct) continue; // most end here
          const slot = first + member;
          const key = product * KEY_SLOTS + slot;
          if (key <= least) continue;
          if (!rows.isRounded(slot) || marks[slot] === queryNumber) continue; // a free row keeps what stood there last
          if (found < wanted) siftUp(picked, found++, key);
          else siftDown(picked, found, key);
          if (found < wanted) continue;
          least = picked[0] as number; // at least one is wanted
          leastProduct = Math.floor(least / KEY_SLOTS) | 0;
        }
      }
      return picked.subarray(0, found);
    },
    slotsOf: (keys) => {
      const slots = slotScratch(keys.length + rows.outliers.size);
      let found = 0;
      for (; found < keys.length; found++) {
        const key = keys[found] as number; // found < length
        slots[found] = key - Math.floor(key / KEY_SLOTS) * KEY_SLOTS;
      }
      for (const slot of rows.outliers) if (marks[slot] !== queryNumber) slots[found++] = slot;
      return slots.subarray(0, found);
    },
  };
}
