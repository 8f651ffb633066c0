/** A set of slots, one byte each: 1,000,000 slots cost 1 MB, in a Set 40 MB. */
export interface SlotSet {
  readonly size: number;
  has(slot: number): boolean;
  /** @returns whether the slot was new */
  add(slot: number): boolean;
  /** @returns whether the set held the slot */
  delete(slot: number): boolean;
  /** Ascending. */
  slots(): Int32Array;
}

const FIRST_CAPACITY = 1024;

export function createSlotSet(): SlotSet {
  let flags = new Uint8Array(FIRST_CAPACITY);
  let size = 0;
  return {
    get size() {
      return size;
    },
    has: (slot) => flags[slot] === 1,
    add: (slot) => {
      if (flags[slot] === 1) return false;
      if (slot >= flags.length) {
        const grown = new Uint8Array(2 ** Math.ceil(Math.log2(slot + 1)));
        grown.set(flags);
        flags = grown;
      }
      flags[slot] = 1;
      size++;
      return true;
    },
    delete: (slot) => {
      if (flags[slot] !== 1) return false;
      flags[slot] = 0;
      size--;
      return true;
    },
    slots: () => {
      const found = new Int32Array(size);
      let next = 0;
      for (let slot = 0; next < size; slot++) if (flags[slot] === 1) found[next++] = slot;
      return found;
    },
  };
}
