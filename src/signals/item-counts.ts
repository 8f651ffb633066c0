/** Ids without an item whose numbers are kept: events may come before their item does. */
const MAX_STRANGERS = 100_000;

/** A number for each item. Of ids that no item has, or has any more, only so many are kept: those that changed last. */
export interface ItemCounts {
  readonly size: number;
  get(itemId: string): number;
  /** 0 and less is forgotten. Set to the same number again, an item that was deleted becomes a stranger. */
  set(itemId: string, value: number): void;
  /** Takes what is known of the id for given. */
  load(itemId: string, value: number, isItem: boolean): void;
  /** Multiplies all; what becomes 0 is forgotten. */
  scale(factor: number): void;
}

export function createItemCounts(isKnown: (itemId: string) => boolean, maxStrangers = MAX_STRANGERS): ItemCounts {
  const known = new Map<string, number>();
  const strangers = new Map<string, number>(); // in the order of their last change

  const load = (itemId: string, value: number, isItem: boolean): void => {
    if (!(value > 0)) return;
    if (isItem) {
      known.set(itemId, value);
      return;
    }
    strangers.set(itemId, value);
    const [oldest] = strangers;
    if (strangers.size <= maxStrangers || oldest === undefined) return;
    strangers.delete(oldest[0]);
    if (isKnown(oldest[0])) known.set(...oldest);
  };

  return {
    get size() {
      return known.size + strangers.size;
    },
    get: (itemId) => known.get(itemId) ?? strangers.get(itemId) ?? 0,
    set: (itemId, value) => {
      known.delete(itemId);
      strangers.delete(itemId);
      load(itemId, value, isKnown(itemId));
    },
    load,
    scale: (factor) => {
      for (const counts of [known, strangers]) {
        for (const [itemId, value] of counts) {
          if (value * factor > 0) counts.set(itemId, value * factor);
          else counts.delete(itemId);
        }
      }
    },
  };
}
