/** Vectors up to this length are copied by a loop: as fast as `set` with a view, and without the garbage of the view. */
const MAX_LOOPED_DIM = 128;
/** float32 values in a cache line of nearly all processors. */
const LINE_VALUES = 16;

/** Views of one chunk's memory. */
export interface ChunkViews {
  /** [CHUNK_SLOTS, d] */
  vectors: Float32Array;
  /** The same memory, two numbers in each value. */
  pairs: Float64Array;
  scales: Float32Array;
  live: Uint8Array;
}

/** Where a slot stands: row `row` of a chunk. @throws RangeError when the table has no such slot */
export type Locate = (slot: number) => { chunk: ChunkViews; row: number };

/** The `copy`, `prefetch` and `gather` of a VectorTable: they read many vectors. */
export function createGather(dim: number, locate: Locate) {
  /** The sum of what was prefetched: without a use the compiler would drop the reads. */
  const prefetched = new Float32Array(1);
  const copy = (slot: number, target: Float32Array, first: number): void => {
    const {
      chunk: { vectors },
      row,
    } = locate(slot);
    const from = row * dim;
    if (dim > MAX_LOOPED_DIM) target.set(vectors.subarray(from, from + dim), first);
    else for (let i = 0; i < dim; i++) target[first + i] = vectors[from + i] as number; // within the chunk
  };
  /**
   * These reads depend on nothing and overlap, those of a copy or a product do so much less. Among 120,000 vectors a history of 50 is
   * gathered in 4.9 instead of 7.5 µs (median). A loop over 20,000 vectors alone keeps them in the caches and shows no difference, but in a
   * server that answers, the candidates of a scan are rescored in 7 instead of 10 µs.
   */
  const prefetch = (slots: Int32Array): void => {
    let sum = 0;
    for (let n = 0; n < slots.length; n++) {
      const { chunk, row } = locate(slots[n] as number); // n < length
      sum += chunk.scales[row] as number; // row < CHUNK_SLOTS
      for (let i = row * dim; i < (row + 1) * dim; i += LINE_VALUES) sum += chunk.vectors[i] as number; // within the chunk
    }
    prefetched[0] = sum;
  };
  /**
   * Copies two numbers at a time: a history of 50 takes 2.6 instead of 3.7 µs (bench/LOG.md). An engine may rewrite the bits of a NaN, but
   * two finite float32 values, read as one float64, are never a NaN.
   */
  const copyPairs = (slots: Int32Array, target: Float64Array): void => {
    const half = dim / 2;
    for (let n = 0; n < slots.length; n++) {
      const { chunk, row } = locate(slots[n] as number); // n < length
      const from = row * half;
      const to = n * half;
      for (let i = 0; i < half; i++) target[to + i] = chunk.pairs[from + i] as number; // within the chunk
    }
  };
  const gather = (slots: Int32Array, target: Float32Array, first: number): void => {
    prefetch(slots);
    const start = target.byteOffset + first * target.BYTES_PER_ELEMENT;
    if (dim % 2 === 0 && dim <= MAX_LOOPED_DIM && start % 8 === 0) copyPairs(slots, new Float64Array(target.buffer, start, (slots.length * dim) / 2));
    else for (let n = 0; n < slots.length; n++) copy(slots[n] as number, target, first + n * dim); // n < length
  };
  return { copy, prefetch, gather };
}
