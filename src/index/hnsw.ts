import { setImmediate as nextTurn } from 'node:timers/promises';
import hnswlib from 'hnswlib-node';
import type { Neighbours, PersistentIndex } from './ann-index.js';
import { nearest } from './exact.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

export interface HnswSettings {
  m: number;
  efConstruction: number;
  ef: number;
}

const FIRST_CAPACITY = 1024;
const SEED = 100;
/** Changes put into the graph between two turns of the thread, after a save: about 5 ms. */
const CATCH_UP = 8;

/**
 * HNSW over the inner product (Malkov and Yashunin, arXiv 1603.09320; hnswlib). Vectors enter multiplied by the
 * table's scale, so that cosine is an inner product of normalised vectors.
 *
 * hnswlib writes a file on a thread of its own and must not be changed meanwhile. Changes that arrive during a save
 * wait beside the graph; searches put them in by an exact scan, so that nobody notices.
 */
export function createHnswIndex(table: VectorTable, settings: HnswSettings): PersistentIndex {
  const graph = new hnswlib.HierarchicalNSW('ip', table.dim);
  const inGraph = createSlotSet();
  /** Marked as deleted in the graph; a later add takes the node over. */
  const deleted = createSlotSet();
  /** What each changed slot is to become; not empty only during a save and the catching up after it. */
  const waiting = new Map<number, 'add' | 'remove'>();
  /** Waiting slots that the graph still shows as they were. */
  let outdated = 0;
  let waitingAdds = 0;
  let capacity = 0;
  let saving: Promise<Int32Array> | null = null;

  const reserve = (): void => {
    if (capacity === 0) {
      graph.initIndex({ maxElements: FIRST_CAPACITY, m: settings.m, efConstruction: settings.efConstruction, randomSeed: SEED });
      capacity = FIRST_CAPACITY;
    } else if (inGraph.size + deleted.size >= capacity) {
      capacity *= 2;
      graph.resizeIndex(capacity);
    }
  };
  const addToGraph = (slot: number): void => {
    if (deleted.delete(slot))
      graph.unmarkDelete(slot); // addPoint on a live label moves it and repairs its links
    else if (!inGraph.has(slot)) reserve();
    const scale = table.scale(slot);
    const point = Array.from(table.vector(slot), (value) => value * scale);
    graph.addPoint(point, slot);
    inGraph.add(slot);
  };
  const removeFromGraph = (slot: number): void => {
    if (!inGraph.delete(slot)) return;
    graph.markDelete(slot);
    deleted.add(slot);
  };

  const wait = (slot: number, becomes: 'add' | 'remove'): void => {
    const before = waiting.get(slot);
    if (before === undefined && inGraph.has(slot)) outdated++;
    if (before === 'add') waitingAdds--;
    if (becomes === 'add') waitingAdds++;
    waiting.set(slot, becomes);
  };
  const settle = (slot: number, becomes: 'add' | 'remove'): void => {
    if (inGraph.has(slot)) outdated--;
    if (becomes === 'add') {
      waitingAdds--;
      addToGraph(slot);
    } else removeFromGraph(slot);
    waiting.delete(slot);
  };
  const catchUp = async (): Promise<void> => {
    while (waiting.size > 0) {
      let applied = 0;
      for (const [slot, becomes] of waiting) {
        settle(slot, becomes);
        if (++applied === CATCH_UP) break;
      }
      await nextTurn();
    }
  };
  const isBeside = (): boolean => saving !== null || waiting.size > 0;

  const searchGraph = (query: Float32Array, count: number): Neighbours => {
    const fetch = Math.min(count, inGraph.size);
    if (fetch === 0) return { slots: new Int32Array(0), similarities: new Float32Array(0) };
    graph.setEf(Math.max(settings.ef, fetch));
    const { neighbors, distances } = graph.searchKnn(Array.from(query), fetch);
    return { slots: Int32Array.from(neighbors), similarities: Float32Array.from(distances, (distance) => 1 - distance) };
  };
  const searchWithWaiting = (query: Float32Array, count: number): Neighbours => {
    const found = searchGraph(query, count + outdated);
    const candidates: { slot: number; similarity: number }[] = [];
    found.slots.forEach((slot, rank) => {
      if (!waiting.has(slot)) candidates.push({ slot, similarity: found.similarities[rank] as number }); // rank < length
    });
    const added = [...waiting].filter(([, becomes]) => becomes === 'add').map(([slot]) => slot);
    const fresh = nearest(table, added, query, count);
    fresh.slots.forEach((slot, rank) => candidates.push({ slot, similarity: fresh.similarities[rank] as number })); // rank < length
    candidates.sort((a, b) => b.similarity - a.similarity || a.slot - b.slot);
    const best = candidates.slice(0, count);
    return { slots: Int32Array.from(best, ({ slot }) => slot), similarities: Float32Array.from(best, ({ similarity }) => similarity) };
  };

  const write = async (file: string): Promise<Int32Array> => {
    const slots = inGraph.slots();
    await graph.writeIndex(file);
    return slots;
  };

  return {
    get size() {
      return inGraph.size - outdated + waitingAdds;
    },
    add: (slot) => (isBeside() ? wait(slot, 'add') : addToGraph(slot)),
    remove: (slot) => (isBeside() ? wait(slot, 'remove') : removeFromGraph(slot)),
    search: (query, count) => (waiting.size === 0 ? searchGraph(query, count) : searchWithWaiting(query, count)),
    save: async (file) => {
      if (saving !== null) throw new Error('the index is being saved already');
      await catchUp();
      reserve();
      saving = write(file);
      try {
        return await saving;
      } finally {
        saving = null;
        void catchUp();
      }
    },
    load: async (file, slots) => {
      await graph.readIndex(file, false);
      capacity = graph.getMaxElements();
      for (const slot of slots) inGraph.add(slot);
      const nodes = Int32Array.from(graph.getIdsList());
      for (const slot of nodes) if (!inGraph.has(slot)) deleted.add(slot);
      return nodes;
    },
  };
}
