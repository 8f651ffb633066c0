/** Slots in one chunk. Chunks are never moved, so growing needs no copy and no lock. */
export const CHUNK_SLOTS = 65_536;

/** Shared memory of one chunk; posted to worker threads as it is. */
export interface VectorChunk {
  vectors: SharedArrayBuffer;
  /** 1 / norm for cosine, 1 for dot: similarity = user · item × scale. */
  scales: SharedArrayBuffer;
  /** 1 = the slot holds a searchable item. */
  live: SharedArrayBuffer;
}

/** Fused item vectors by slot, written by the main thread and read by every worker. */
export interface VectorTable {
  readonly dim: number;
  readonly capacity: number;
  /** Adds a chunk that another thread, or this one, made. */
  attach(chunk: VectorChunk): void;
  /** A view of the slot's vector [d], not normalised. */
  vector(slot: number): Float32Array;
  /** Writes the slot's vector into `target` from `first` on. */
  copy(slot: number, target: Float32Array, first: number): void;
  /** Writes the vectors of many slots into `target`, one after the other, from `first` on. */
  gather(slots: Int32Array, target: Float32Array, first: number): void;
  /** Brings the vectors of these slots into the caches: reads that depend on nothing overlap, those of a product or a copy do so much less. */
  touch(slots: Int32Array): void;
  scale(slot: number): number;
  /** query · vector × scale, without making a view: an exact scan asks for every slot. */
  similarity(query: Float32Array, slot: number): number;
  isLive(slot: number): boolean;
  write(slot: number, vector: Float32Array, normalised: boolean): void;
  /** Takes the norm of the vector that a snapshot has left in this slot: whoever is told of the slot may ask for its scale. */
  measure(slot: number, normalised: boolean): void;
  /** Makes the vector that a snapshot has left in this slot searchable, as `write` would. */
  revive(slot: number, normalised: boolean): void;
  free(slot: number): void;
}

export const makeChunk = (dim: number): VectorChunk => ({
  vectors: new SharedArrayBuffer(CHUNK_SLOTS * dim * 4),
  scales: new SharedArrayBuffer(CHUNK_SLOTS * 4),
  live: new SharedArrayBuffer(CHUNK_SLOTS),
});

/** A cache line holds so many numbers, on nearly all processors. */
const LINE = 16;
/** Vectors up to this length are copied as fast by a loop as by way of a view, which would be garbage. */
const LOOPED = 128;

export function createVectorTable(dim: number): VectorTable {
  const chunks: { vectors: Float32Array; pairs: Float64Array; scales: Float32Array; live: Uint8Array }[] = [];
  /** What was touched: without a use the reads would be left out. */
  const touched = new Float32Array(1);
  const locate = (slot: number) => {
    const chunk = chunks[Math.floor(slot / CHUNK_SLOTS)];
    if (chunk === undefined) throw new RangeError(`slot ${slot} is beyond the vector table`);
    return { chunk, row: slot % CHUNK_SLOTS };
  };
  const measure = (chunk: (typeof chunks)[0], row: number, normalised: boolean): void => {
    let squares = 0;
    for (let i = row * dim; i < (row + 1) * dim; i++) squares += (chunk.vectors[i] as number) ** 2; // within the chunk
    chunk.scales[row] = normalised ? 1 / Math.max(Math.sqrt(squares), 1e-12) : 1;
  };
  const enliven = (chunk: (typeof chunks)[0], row: number, normalised: boolean): void => {
    measure(chunk, row, normalised);
    chunk.live[row] = 1;
  };
  const copy = (slot: number, target: Float32Array, first: number): void => {
    const {
      chunk: { vectors },
      row,
    } = locate(slot);
    const from = row * dim;
    if (dim > LOOPED) target.set(vectors.subarray(from, from + dim), first);
    else for (let i = 0; i < dim; i++) target[first + i] = vectors[from + i] as number; // within the chunk
  };
  /** Two numbers at a time, which takes half as long; as one of 64 bits, two finite ones are never what an engine may rewrite, a NaN. */
  const copyPairs = (slots: Int32Array, target: Float64Array): void => {
    const half = dim / 2;
    for (let n = 0; n < slots.length; n++) {
      const { chunk, row } = locate(slots[n] as number); // n < length
      const from = row * half;
      const to = n * half;
      for (let i = 0; i < half; i++) target[to + i] = chunk.pairs[from + i] as number; // within the chunk
    }
  };
  const touch = (slots: Int32Array): void => {
    let sum = 0;
    for (let n = 0; n < slots.length; n++) {
      const slot = slots[n] as number; // n < length
      const {
        chunk: { vectors, scales },
        row,
      } = locate(slot);
      sum += scales[row] as number; // row < CHUNK_SLOTS
      for (let i = row * dim; i < (row + 1) * dim; i += LINE) sum += vectors[i] as number; // within the chunk
    }
    touched[0] = sum;
  };
  return {
    dim,
    get capacity() {
      return chunks.length * CHUNK_SLOTS;
    },
    attach: ({ vectors, scales, live }) => {
      chunks.push({
        vectors: new Float32Array(vectors),
        pairs: new Float64Array(vectors),
        scales: new Float32Array(scales),
        live: new Uint8Array(live),
      });
    },
    vector: (slot) => {
      const { chunk, row } = locate(slot);
      return chunk.vectors.subarray(row * dim, (row + 1) * dim);
    },
    copy,
    gather: (slots, target, first) => {
      touch(slots);
      const start = target.byteOffset + first * target.BYTES_PER_ELEMENT;
      if (dim % 2 === 0 && dim <= LOOPED && start % 8 === 0) copyPairs(slots, new Float64Array(target.buffer, start, (slots.length * dim) / 2));
      else for (let n = 0; n < slots.length; n++) copy(slots[n] as number, target, first + n * dim); // n < length
    },
    touch,
    scale: (slot) => {
      const { chunk, row } = locate(slot);
      return chunk.scales[row] as number; // row < CHUNK_SLOTS
    },
    similarity: (query, slot) => {
      const { vectors, scales } = chunks[(slot / CHUNK_SLOTS) | 0] as (typeof chunks)[0]; // slots in an index are within the table
      const row = slot % CHUNK_SLOTS;
      const first = row * dim;
      // four sums, because each addition of one would wait for the one before; both vectors have d values
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      let i = 0;
      for (; i + 3 < dim; i += 4) {
        a += (query[i] as number) * (vectors[first + i] as number);
        b += (query[i + 1] as number) * (vectors[first + i + 1] as number);
        c += (query[i + 2] as number) * (vectors[first + i + 2] as number);
        d += (query[i + 3] as number) * (vectors[first + i + 3] as number);
      }
      for (; i < dim; i++) a += (query[i] as number) * (vectors[first + i] as number);
      return (a + b + c + d) * (scales[row] as number);
    },
    isLive: (slot) => {
      const { chunk, row } = locate(slot);
      return chunk.live[row] === 1;
    },
    write: (slot, vector, normalised) => {
      const { chunk, row } = locate(slot);
      chunk.vectors.set(vector, row * dim);
      enliven(chunk, row, normalised);
    },
    measure: (slot, normalised) => {
      const { chunk, row } = locate(slot);
      measure(chunk, row, normalised);
    },
    revive: (slot, normalised) => {
      const { chunk, row } = locate(slot);
      enliven(chunk, row, normalised);
    },
    free: (slot) => {
      const { chunk, row } = locate(slot);
      chunk.live[row] = 0;
    },
  };
}
