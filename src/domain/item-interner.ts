/**
 * Gives each item id that the catalogue or an event has named a number, its item index. The index is the same for every
 * generation of this process. The request path compares indexes in flat arrays, where each string would cost a cache miss.
 */
export interface ItemInterner {
  /** The index of the id; an id that is new here gets the next one. Not for ids that a caller may make up: an index is kept until the process ends. */
  indexOf(itemId: string): number;
  /** The index of the id; undefined when the id has none. */
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
