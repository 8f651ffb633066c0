import { dotRows } from './dot.js';
import { createGather, type ChunkViews, type Locate } from './vector-gather.js';

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
  /** A view of the slot's vector, [d], not normalised. */
  vector(slot: number): Float32Array;
  /** Copies the slot's vector, [d], to `target[first]` and after. */
  copy(slot: number, target: Float32Array, first: number): void;
  /** Brings the vectors of slots into the CPU caches. */
  prefetch(slots: Int32Array): void;
  /** Copies the vectors of many slots, [slots, d], to `target[first]` and after. */
  gather(slots: Int32Array, target: Float32Array, first: number): void;
  scale(slot: number): number;
  /** query · vector × scale. Makes no view, because an exact scan asks for every slot. */
  similarity(query: Float32Array, slot: number): number;
  isLive(slot: number): boolean;
  write(slot: number, vector: Float32Array, normalised: boolean): void;
  /** Sets the scale of a vector that a snapshot has put into this slot. Readers that are told of the slot ask for its scale. */
  measure(slot: number, normalised: boolean): void;
  /** Makes a vector that a snapshot has put into this slot searchable, as `write` does. */
  markLive(slot: number, normalised: boolean): void;
  /** The slot holds no searchable item any more. */
  free(slot: number): void;
}

export const makeChunk = (dim: number): VectorChunk => ({
  vectors: new SharedArrayBuffer(CHUNK_SLOTS * dim * 4),
  scales: new SharedArrayBuffer(CHUNK_SLOTS * 4),
  live: new SharedArrayBuffer(CHUNK_SLOTS),
});

export function createVectorTable(dim: number): VectorTable {
  const chunks: ChunkViews[] = [];
  const locate: Locate = (slot) => {
    const chunk = chunks[Math.floor(slot / CHUNK_SLOTS)];
    if (chunk === undefined) throw new RangeError(`slot ${slot} is beyond the vector table`);
    return { chunk, row: slot % CHUNK_SLOTS };
  };
  const measure = (chunk: ChunkViews, row: number, normalised: boolean): void => {
    let squares = 0;
    for (let i = row * dim; i < (row + 1) * dim; i++) squares += (chunk.vectors[i] as number) ** 2; // within the chunk
    chunk.scales[row] = normalised ? 1 / Math.max(Math.sqrt(squares), 1e-12) : 1;
  };
  const markLive = (chunk: ChunkViews, row: number, normalised: boolean): void => {
    measure(chunk, row, normalised);
    chunk.live[row] = 1;
  };
  const { copy, prefetch, gather } = createGather(dim, locate);

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
    prefetch,
    gather,
    scale: (slot) => {
      const { chunk, row } = locate(slot);
      return chunk.scales[row] as number; // row < CHUNK_SLOTS
    },
    similarity: (query, slot) => {
      const { vectors, scales } = chunks[(slot / CHUNK_SLOTS) | 0] as ChunkViews; // slots in an index are within the table
      const row = slot % CHUNK_SLOTS;
      return dotRows(query, 0, vectors, row * dim, dim) * (scales[row] as number); // row < CHUNK_SLOTS
    },
    isLive: (slot) => {
      const { chunk, row } = locate(slot);
      return chunk.live[row] === 1;
    },
    write: (slot, vector, normalised) => {
      const { chunk, row } = locate(slot);
      chunk.vectors.set(vector, row * dim);
      markLive(chunk, row, normalised);
    },
    measure: (slot, normalised) => {
      const { chunk, row } = locate(slot);
      measure(chunk, row, normalised);
    },
    markLive: (slot, normalised) => {
      const { chunk, row } = locate(slot);
      markLive(chunk, row, normalised);
    },
    free: (slot) => {
      const { chunk, row } = locate(slot);
      chunk.live[row] = 0;
    },
  };
}
