import type { ChangeFeed, ItemChange } from '../../../src/store/changes.js';
import type { Shared } from './data.js';

export function createMemoryChanges({ data, newest, itemListeners }: Shared): ChangeFeed {
  return {
    get sequence() {
      return newest.at;
    },
    get itemSequence() {
      return data.changes.at(-1)?.sequence ?? 0;
    },
    reached: newest.reached,
    since: async (sequence, limit) => {
      const page = data.changes.filter((change) => change.sequence > sequence).slice(0, limit);
      const newestOfItem = new Map<string, ItemChange>();
      for (const change of page) {
        const earlier = newestOfItem.get(change.item_id);
        newestOfItem.delete(change.item_id); // to the end
        newestOfItem.set(change.item_id, merge(earlier, change));
      }
      return structuredClone([...newestOfItem.values()]);
    },
    onItemChange: (listener) => {
      itemListeners.add(listener);
      return () => void itemListeners.delete(listener);
    },
  };
}

function merge(earlier: ItemChange | undefined, later: ItemChange): ItemChange {
  if (earlier?.kind !== 'put' || later.kind !== 'fields') return later;
  return { ...later, kind: 'put', written: later.written && { ...later.written, vectors: earlier.written?.vectors ?? [] } };
}
