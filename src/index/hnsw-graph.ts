import hnswlib from 'hnswlib-node';
import type { Neighbours } from './ann-index.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

export interface HnswSettings {
  m: number;
  efConstruction: number;
  ef: number;
}

const FIRST_CAPACITY = 1024;
const SEED = 100;

/** hnswlib's graph, labelled by slots. Must not be changed during `write`. */
export interface HnswGraph {
  /** Slots that a search can find. */
  readonly size: number;
  has(slot: number): boolean;
  add(slot: number): void;
  remove(slot: number): void;
  search(query: Float32Array, count: number): Neighbours;
  /** @returns the slots that a search of the file can find, ascending */
  write(file: string): Promise<Int32Array>;
  /** Reads a file into an empty graph. @param slots what `write` returned; @returns all slots with a node, removed ones included */
  read(file: string, slots: Int32Array): Promise<Int32Array>;
}

/** Vectors enter multiplied by the table's scale, so that a cosine is an inner product of normalised vectors. */
export function createHnswGraph(table: VectorTable, settings: HnswSettings): HnswGraph {
  const graph = new hnswlib.HierarchicalNSW('ip', table.dim);
  const live = createSlotSet();
  /** Marked as deleted in the graph; a later `add` of the slot takes the node over. */
  const deleted = createSlotSet();
  let capacity = 0;

  const reserve = (): void => {
    if (capacity === 0) {
      graph.initIndex({ maxElements: FIRST_CAPACITY, m: settings.m, efConstruction: settings.efConstruction, randomSeed: SEED });
      capacity = FIRST_CAPACITY;
    } else if (live.size + deleted.size >= capacity) {
      capacity *= 2;
      graph.resizeIndex(capacity);
    }
  };

  return {
    get size() {
      return live.size;
    },
    has: live.has,
    add: (slot) => {
      if (deleted.delete(slot))
        graph.unmarkDelete(slot); // addPoint on a live label moves it and repairs its links
      else if (!live.has(slot)) reserve();
      const scale = table.scale(slot);
      const point = Array.from(table.vector(slot), (value) => value * scale);
      graph.addPoint(point, slot);
      live.add(slot);
    },
    remove: (slot) => {
      if (!live.delete(slot)) return;
      graph.markDelete(slot);
      deleted.add(slot);
    },
    search: (query, count) => {
      const fetch = Math.min(count, live.size);
      if (fetch === 0) return { slots: new Int32Array(0), similarities: new Float32Array(0) };
      graph.setEf(Math.max(settings.ef, fetch));
      const { neighbors, distances } = graph.searchKnn(Array.from(query), fetch);
      return { slots: Int32Array.from(neighbors), similarities: Float32Array.from(distances, (distance) => 1 - distance) };
    },
    write: async (file) => {
      reserve(); // an empty graph can be written only after its initialisation
      const slots = live.slots();
      await graph.writeIndex(file);
      return slots;
    },
    read: async (file, slots) => {
      await graph.readIndex(file, false);
      capacity = graph.getMaxElements();
      for (const slot of slots) live.add(slot);
      const nodes = Int32Array.from(graph.getIdsList());
      for (const slot of nodes) if (!live.has(slot)) deleted.add(slot);
      return nodes;
    },
  };
}
