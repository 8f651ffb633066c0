import hnswlib from 'hnswlib-node';
import type { Neighbours } from './ann-index.js';
import { createSlotSet } from './slot-set.js';
import { createVectorCopies } from './vector-copies.js';
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

/**
 * Vectors enter multiplied by the table's scale, so that a cosine is an inner product of normalised vectors. Of equal vectors one has a
 * node, and a search adds the others.
 */
export function createHnswGraph(table: VectorTable, settings: HnswSettings): HnswGraph {
  const graph = new hnswlib.HierarchicalNSW('ip', table.dim);
  const live = createSlotSet();
  /** With a node in the graph, live or deleted. */
  const known = createSlotSet();
  /** Marked as deleted in the graph; a later `add` of the slot takes the node over. */
  const deleted = createSlotSet();
  const copies = createVectorCopies(table);
  let nodes = 0;
  let capacity = 0;

  const reserve = (): void => {
    if (capacity === 0) {
      graph.initIndex({ maxElements: FIRST_CAPACITY, m: settings.m, efConstruction: settings.efConstruction, randomSeed: SEED });
      capacity = FIRST_CAPACITY;
    } else if (nodes >= capacity) {
      capacity *= 2;
      graph.resizeIndex(capacity);
    }
  };

  const addNode = (slot: number): void => {
    if (deleted.delete(slot))
      graph.unmarkDelete(slot); // addPoint on a live label moves it and repairs its links
    else if (!known.has(slot)) {
      reserve();
      known.add(slot);
      nodes++;
    }
    const scale = table.scale(slot);
    const point = Array.from(table.vector(slot), (value) => value * scale);
    graph.addPoint(point, slot);
    copies.addOriginal(slot);
  };
  const removeNode = (slot: number): void => {
    graph.markDelete(slot);
    deleted.add(slot);
  };
  /** Takes a slot out of its group. @returns whether it has a live node */
  const leave = (slot: number): boolean => {
    const hadNode = !copies.isCopy(slot);
    const heir = copies.remove(slot);
    if (heir !== undefined) addNode(heir);
    return hadNode;
  };
  const add = (slot: number): void => {
    if (live.has(slot)) leave(slot);
    const original = copies.originalOf(slot);
    // a slot that has a node keeps it: a file does not tell a live copy with a dead node of its own from an original
    if (original === undefined || known.has(slot)) addNode(slot);
    else copies.addCopy(slot, original);
    live.add(slot);
  };
  /** Nearest first, equal ones after each other. */
  const withCopies = ({ neighbors, distances }: hnswlib.SearchResult, count: number): Neighbours => {
    const slots: number[] = [];
    const similarities: number[] = [];
    for (let n = 0; n < neighbors.length && slots.length < count; n++) {
      const slot = neighbors[n] as number; // n < length
      for (const equal of [slot, ...copies.copies(slot)]) {
        if (slots.length === count) break;
        slots.push(equal);
        similarities.push(1 - (distances[n] as number)); // one distance a neighbour
      }
    }
    return { slots: Int32Array.from(slots), similarities: Float32Array.from(similarities) };
  };

  return {
    get size() {
      return live.size;
    },
    has: live.has,
    add,
    remove: (slot) => {
      if (!live.delete(slot)) return;
      if (leave(slot)) removeNode(slot);
    },
    search: (query, count) => {
      const fetch = Math.min(count, nodes - deleted.size);
      if (fetch === 0) return { slots: new Int32Array(0), similarities: new Float32Array(0) };
      graph.setEf(Math.max(settings.ef, fetch));
      return withCopies(graph.searchKnn(Array.from(query), fetch), count);
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
      const labels = Int32Array.from(graph.getIdsList());
      nodes = labels.length;
      for (const slot of labels) known.add(slot);
      const findable = new Set(slots);
      for (const slot of labels) {
        if (!findable.delete(slot)) {
          deleted.add(slot);
          continue;
        }
        live.add(slot);
        copies.addOriginal(slot);
      }
      for (const slot of findable) add(slot); // copies of nodes
      return labels;
    },
  };
}
