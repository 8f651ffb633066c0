import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Neighbours, PersistentIndex } from './ann-index.js';
import { nearest } from './exact.js';
import { createHnswGraph, type HnswSettings } from './hnsw-graph.js';
import type { VectorTable } from './vector-table.js';

export type { HnswSettings } from './hnsw-graph.js';

type Change = 'add' | 'remove';

/** Changes that go into the graph between two turns of the thread, after a save: about 5 ms. */
const CATCH_UP = 8;

/**
 * HNSW over the inner product (Malkov and Yashunin, arXiv 1603.09320; hnswlib).
 *
 * hnswlib writes a file on its own thread, and the graph must not change meanwhile. Changes that arrive during a save therefore wait
 * outside the graph. Searches merge them in by an exact scan, so that they take effect at once.
 */
export function createHnswIndex(table: VectorTable, settings: HnswSettings): PersistentIndex {
  const graph = createHnswGraph(table, settings);
  /** The last change of each slot that the graph does not have yet. Empty except during a save and the catching up after it. */
  const pending = new Map<number, Change>();
  /** Pending slots that a search of the graph still finds as they were. */
  let outdated = 0;
  let pendingAdds = 0;
  let saving: Promise<Int32Array> | null = null;
  const hasPendingChanges = (): boolean => saving !== null || pending.size > 0;

  const defer = (slot: number, change: Change): void => {
    const before = pending.get(slot);
    if (before === undefined && graph.has(slot)) outdated++;
    if (before === 'add') pendingAdds--;
    if (change === 'add') pendingAdds++;
    pending.set(slot, change);
  };
  const apply = (slot: number, change: Change): void => {
    if (graph.has(slot)) outdated--;
    if (change === 'add') pendingAdds--;
    graph[change](slot);
    pending.delete(slot);
  };
  const catchUp = async (): Promise<void> => {
    while (pending.size > 0) {
      let applied = 0;
      for (const [slot, change] of pending) {
        apply(slot, change);
        if (++applied === CATCH_UP) break;
      }
      await nextTurn();
    }
  };

  const searchWithPending = (query: Float32Array, count: number): Neighbours => {
    const found = graph.search(query, count + outdated);
    const candidates: { slot: number; similarity: number }[] = [];
    found.slots.forEach((slot, rank) => {
      if (!pending.has(slot)) candidates.push({ slot, similarity: found.similarities[rank] as number }); // rank < length
    });
    const added = [...pending].filter(([, change]) => change === 'add').map(([slot]) => slot);
    const fresh = nearest(table, added, query, count);
    fresh.slots.forEach((slot, rank) => candidates.push({ slot, similarity: fresh.similarities[rank] as number })); // rank < length
    candidates.sort((a, b) => b.similarity - a.similarity || a.slot - b.slot);
    const best = candidates.slice(0, count);
    return { slots: Int32Array.from(best, ({ slot }) => slot), similarities: Float32Array.from(best, ({ similarity }) => similarity) };
  };

  return {
    get size() {
      return graph.size - outdated + pendingAdds;
    },
    add: (slot) => (hasPendingChanges() ? defer(slot, 'add') : graph.add(slot)),
    remove: (slot) => (hasPendingChanges() ? defer(slot, 'remove') : graph.remove(slot)),
    search: (query, count) => (pending.size === 0 ? graph.search(query, count) : searchWithPending(query, count)),
    save: async (file) => {
      if (saving !== null) throw new Error('the index is being saved already');
      await catchUp();
      saving = graph.write(file);
      try {
        return await saving;
      } finally {
        saving = null;
        void catchUp();
      }
    },
    load: graph.read,
  };
}
