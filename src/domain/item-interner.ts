/**
 * A number for each item id that the catalogue or an event has named, the same for every generation of this process: the
 * request path compares numbers in flat arrays, where strings would cost a cache miss each.
 */
export interface ItemInterner {
  /** The id's number; a new one when the id was never named. Not for ids that a caller may make up. */
  indexOf(itemId: string): number;
  /** Undefined: the id was never named. */
  find(itemId: string): number | undefined;
  idOf(index: number): string;
  readonly size: number;
}

export function createItemInterner(): ItemInterner {
  const indexes = new Map<string, number>();
  const ids: string[] = [];
  return {
    indexOf: (itemId) => {
      const known = indexes.get(itemId);
      if (known !== undefined) return known;
      indexes.set(itemId, ids.length);
      return ids.push(itemId) - 1;
    },
    find: (itemId) => indexes.get(itemId),
    idOf: (index) => ids[index] ?? '',
    get size() {
      return ids.length;
    },
  };
}
