import TinyQueue, { type Comparator } from 'tinyqueue';

/** The best few of many values. A value that is worse than all kept ones costs one comparison. */
export interface BestItems<Value> {
  offer(value: Value): void;
  /** Best first. */
  sorted(): Value[];
}

/** @param worstFirst a total order: it decides between equal values too, so that answers repeat */
export function createBestItems<Value>(limit: number, worstFirst: Comparator<Value>): BestItems<Value> {
  const kept = new TinyQueue<Value>([], worstFirst);
  return {
    offer: (value) => {
      if (kept.length === limit) {
        const worst = kept.peek();
        if (worst === undefined || worstFirst(worst, value) >= 0) return;
        kept.pop();
      }
      kept.push(value);
    },
    sorted: () => kept.data.toSorted((a, b) => worstFirst(b, a)),
  };
}
