import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Matcher } from '../../domain/filter.js';
import type { EmbeddedItem } from './embedded-item.js';

/** Slots that a filter lets through, one bit each, in memory that the recommenders read too. Only of items that can be served. */
export interface SlotBitmap {
  readonly words: Uint32Array;
  readonly count: number;
}

/** Bitmaps of the filters that were asked for lately, kept up to date with every change of an item. */
export interface SlotFilters {
  /** Built in slices between other work when it is asked for the first time. */
  bitmap(filter: { key: string; matches: Matcher }): Promise<SlotBitmap>;
  /** For one request: built in slices too, neither kept nor kept up to date. */
  once(matches: (item: EmbeddedItem) => boolean): Promise<SlotBitmap>;
  /** The slot has another item, the same one with other fields, or none that can be served. */
  changed(slot: number, item: EmbeddedItem | undefined): void;
}

/** Filters that are kept: each costs one test with every written item. */
const KEPT = 64;
/** Slots tested between two turns of the event loop: about a millisecond. */
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
  /** The item of a slot, when it can be served. */
  atSlot: (slot: number) => EmbeddedItem | undefined;
}): SlotFilters {
  const entries = new Map<string, Entry>(); // in the order of their last use

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
      if (slot % SLICE === SLICE - 1) await nextTurn(); // changes meanwhile reach the entry by `changed`
    }
  };
  const open = (matches: (item: EmbeddedItem) => boolean): Entry => {
    const entry: Entry = { words: wordsFor(catalogue.capacity()), count: 0, matches, ready: Promise.resolve() };
    entry.ready = fill(entry);
    return entry;
  };

  return {
    bitmap: async (filter) => {
      const entry = entries.get(filter.key) ?? open(filter.matches);
      entries.delete(filter.key);
      entries.set(filter.key, entry);
      const [oldest] = entries.keys();
      if (entries.size > KEPT && oldest !== undefined) entries.delete(oldest);
      await entry.ready;
      return entry;
    },
    once: async (matches) => {
      const entry = open(matches);
      await entry.ready;
      return entry;
    },
    changed: (slot, item) => {
      for (const entry of entries.values()) set(entry, slot, item);
    },
  };
}
