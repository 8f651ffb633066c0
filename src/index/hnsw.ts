import hnswlib from 'hnswlib-node';
import type { AnnIndex } from './ann-index.js';
import type { VectorTable } from './vector-table.js';

export interface HnswSettings {
  m: number;
  efConstruction: number;
  ef: number;
}

const FIRST_CAPACITY = 1024;
const SEED = 100;

/**
 * HNSW over the inner product (Malkov and Yashunin, arXiv 1603.09320; hnswlib). Vectors enter multiplied by the
 * table's scale, so that cosine is an inner product of normalised vectors.
 */
export function createHnswIndex(table: VectorTable, settings: HnswSettings): AnnIndex {
  const index = new hnswlib.HierarchicalNSW('ip', table.dim);
  index.initIndex({ maxElements: FIRST_CAPACITY, m: settings.m, efConstruction: settings.efConstruction, randomSeed: SEED });
  const live = new Set<number>();
  const deleted = new Set<number>();
  let capacity = FIRST_CAPACITY;

  return {
    get size() {
      return live.size;
    },
    add: (slot) => {
      if (deleted.delete(slot))
        index.unmarkDelete(slot); // addPoint on a live label moves it and repairs its links
      else if (live.size + deleted.size >= capacity && !live.has(slot)) {
        capacity *= 2;
        index.resizeIndex(capacity);
      }
      const scale = table.scale(slot);
      const point = Array.from(table.vector(slot), (value) => value * scale);
      index.addPoint(point, slot);
      live.add(slot);
    },
    remove: (slot) => {
      if (!live.delete(slot)) return;
      index.markDelete(slot);
      deleted.add(slot);
    },
    search: (query, count) => {
      const fetch = Math.min(count, live.size);
      if (fetch === 0) return { slots: new Int32Array(0), similarities: new Float32Array(0) };
      index.setEf(Math.max(settings.ef, fetch));
      const { neighbors, distances } = index.searchKnn(Array.from(query), fetch);
      return { slots: Int32Array.from(neighbors), similarities: Float32Array.from(distances, (distance) => 1 - distance) };
    },
  };
}
