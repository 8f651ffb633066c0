/**
 * A number for each item id that the catalogue or an event has named, the same in every generation: the request path
 * compares numbers in flat arrays, where strings would cost a cache miss each.
 */
export interface ItemRows {
  /** The id's number; a new one when the id was never named. Not for ids that a caller may make up. */
  rowOf(itemId: string): number;
  /** Undefined: the id was never named. */
  find(itemId: string): number | undefined;
  idOf(row: number): string;
  readonly size: number;
}

export function createItemRows(): ItemRows {
  const rows = new Map<string, number>();
  const ids: string[] = [];
  return {
    rowOf: (itemId) => {
      const known = rows.get(itemId);
      if (known !== undefined) return known;
      rows.set(itemId, ids.length);
      return ids.push(itemId) - 1;
    },
    find: (itemId) => rows.get(itemId),
    idOf: (row) => ids[row] ?? '',
    get size() {
      return ids.length;
    },
  };
}
