/** The best few of many, by a bounded heap: what is not better than the worst kept one costs a comparison. */
export interface Top<Value> {
  readonly isFull: boolean;
  /** The worst one that is kept; anything worse need not be offered once the heap is full. */
  readonly worst: Value | undefined;
  offer(value: Value): void;
  /** Best first; the heap is empty afterwards. */
  take(): Value[];
}

/** @param isWorse a strict order; it decides between equals too, so that answers repeat */
export function createTop<Value>(limit: number, isWorse: (a: Value, b: Value) => boolean): Top<Value> {
  let heap: Value[] = [];
  const at = (position: number): Value => heap[position] as Value; // only asked within the heap
  const swap = (a: number, b: number): void => {
    const kept = at(a);
    heap[a] = at(b);
    heap[b] = kept;
  };
  const rise = (start: number): void => {
    for (let child = start; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!isWorse(at(child), at(parent))) return;
      swap(child, parent);
      child = parent;
    }
  };
  const sink = (): void => {
    for (let parent = 0; ;) {
      let worst = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) if (child < heap.length && isWorse(at(child), at(worst))) worst = child;
      if (worst === parent) return;
      swap(parent, worst);
      parent = worst;
    }
  };
  return {
    get isFull() {
      return heap.length >= limit;
    },
    get worst() {
      return heap[0];
    },
    offer: (value) => {
      if (heap.length < limit) {
        heap.push(value);
        rise(heap.length - 1);
      } else if (limit > 0 && isWorse(at(0), value)) {
        heap[0] = value;
        sink();
      }
    },
    take: () => {
      const taken = heap;
      heap = [];
      return taken.sort((a, b) => (isWorse(a, b) ? 1 : isWorse(b, a) ? -1 : 0));
    },
  };
}
