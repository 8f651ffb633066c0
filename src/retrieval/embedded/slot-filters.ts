import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Matcher } from '../../domain/filter.js';
import type { EmbeddedItem } from './embedded-item.js';

/** Slots of servable items that pass a filter, one bit for each slot, in memory shared with the recommenders. */
export interface SlotBitmap {
  readonly words: Uint32Array;
  readonly count: number;
}

/** Bitmaps of the last used filters, updated with every change of an item. */
export interface SlotFilters {
  /** The bitmap of a filter. Its first use builds it, in slices between other work. */
  bitmap(filter: { key: string; matches: Matcher }): Promise<SlotBitmap>;
  /** Builds a bitmap for one request, in slices. It is neither kept nor updated. */
  once(matches: (item: EmbeddedItem) => boolean): Promise<SlotBitmap>;
  /** Call it when the item of a slot or its fields change; with undefined when the item ceases to be servable. */
  changed(slot: number, item: EmbeddedItem | undefined): void;
}

/** Maximum number of kept bitmaps. Each costs one test with every written item. */
const MAX_KEPT = 64;
/** Slots tested in one turn of the event loop: about a millisecond. */
const SLICE = 8192;

interface Entry extends SlotBitmap {
  words: Uint32Array;
  count: number;
  matches: (item: EmbeddedItem) => boolean;
  ready: Promise<void>;
}

const wordsFor = (slots: number): Uint32Array => new Uint32Array(new SharedArrayBuffer(Math.ceil(slots / 32) * 4));

export function createSlotFilters(catalogue: {
  capacity: () => number;
  slots: () => number;
  /** The item of a slot if it is servable. */
  atSlot: (slot: number) => EmbeddedItem | undefined;
}): SlotFilters {
  const kept = new LRUCache<string, Entry>({ max: MAX_KEPT });

  const set = (entry: Entry, slot: number, item: EmbeddedItem | undefined): void => {
    const word = slot >>> 5;
    if (word >= entry.words.length) {
      const grown = wordsFor(Math.max(catalogue.capacity(), slot + 1));
      grown.set(entry.words);
      entry.words = grown;
    }
    const bit = 1 << (slot & 31);
    const before = entry.words[word] as number; // grown above
    const isSet = (before & bit) !== 0;
    const passes = item !== undefined && entry.matches(item);
    if (passes === isSet) return;
    entry.words[word] = passes ? before | bit : before & ~bit;
    entry.count += passes ? 1 : -1;
  };
  const fill = async (entry: Entry): Promise<void> => {
    for (let slot = 0; slot < catalogue.slots(); slot++) {
      set(entry, slot, catalogue.atSlot(slot));
      if (slot % SLICE === SLICE - 1) await nextTurn(); // `changed` updates the entry meanwhile
    }
  };
  const open = (matches: (item: EmbeddedItem) => boolean): Entry => {
    const entry: Entry = { words: wordsFor(catalogue.capacity()), count: 0, matches, ready: Promise.resolve() };
    entry.ready = fill(entry);
    return entry;
  };

  return {
    bitmap: async (filter) => {
      const entry = kept.get(filter.key) ?? open(filter.matches);
      kept.set(filter.key, entry);
      await entry.ready;
      return entry;
    },
    once: async (matches) => {
      const entry = open(matches);
      await entry.ready;
      return entry;
    },
    changed: (slot, item) => {
      for (const entry of kept.values()) set(entry, slot, item);
    },
  };
}
