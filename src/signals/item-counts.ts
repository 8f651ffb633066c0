/** Ids without an item whose numbers are kept: events may come before their item. */
const MAX_ORPHANS = 100_000;

/** A number for each item. Of ids without an item, never put or deleted, only the `maxOrphans` that changed last are kept. */
export interface ItemCounts {
  readonly size: number;
  /** `nothing` for an id without a number. */
  get(itemId: string): number;
  /** Forgets the id when the value is `nothing` or less. Set to its own value again, an item that was deleted becomes an orphan. */
  set(itemId: string, value: number): void;
  /** Like `set`, for an id that is not there yet and of which it is known whether it has an item. */
  load(itemId: string, value: number, isItem: boolean): void;
}

/** @param nothing the number of an id that has none */
export function createItemCounts(isKnown: (itemId: string) => boolean, nothing = 0, maxOrphans = MAX_ORPHANS): ItemCounts {
  const known = new Map<string, number>();
  const orphans = new Map<string, number>(); // the one that changed last is the last

  const load = (itemId: string, value: number, isItem: boolean): void => {
    if (!(value > nothing)) return;
    if (isItem) {
      known.set(itemId, value);
      return;
    }
    orphans.set(itemId, value);
    const [oldest] = orphans;
    if (orphans.size <= maxOrphans || oldest === undefined) return;
    orphans.delete(oldest[0]);
    if (isKnown(oldest[0])) known.set(...oldest);
  };

  return {
    get size() {
      return known.size + orphans.size;
    },
    get: (itemId) => known.get(itemId) ?? orphans.get(itemId) ?? nothing,
    set: (itemId, value) => {
      known.delete(itemId);
      orphans.delete(itemId);
      load(itemId, value, isKnown(itemId));
    },
    load,
  };
}
