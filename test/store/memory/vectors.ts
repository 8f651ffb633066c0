import type { ItemWithVector, VectorStore } from '../../../src/store/vectors.js';
import { pageOf, type MemoryItem, type Shared } from './data.js';

export function createMemoryVectors({ data: { items } }: Shared): VectorStore {
  const withVector = (fingerprint: string, { item, hiddenStates, vectors }: MemoryItem): ItemWithVector =>
    structuredClone({ ...item, stored: vectors.get(fingerprint) ?? null, has_hidden_states: hiddenStates !== null });

  return {
    save: async (fingerprint, vectors) => {
      for (const { item_id: itemId, sequence = Infinity, ...vector } of vectors) {
        const known = items.get(itemId);
        if (known !== undefined && known.item.sequence <= sequence) known.vectors.set(fingerprint, structuredClone(vector));
      }
    },
    list: async (fingerprint, after, limit) => pageOf(items, after, limit).map((item) => withVector(fingerprint, item)),
    getMany: async (fingerprint, itemIds) => {
      const wanted = new Map([...items].filter(([itemId]) => itemIds.includes(itemId)));
      return pageOf(wanted, null, Infinity).map((item) => withVector(fingerprint, item));
    },
    discard: async (itemIds) => {
      for (const itemId of itemIds) items.get(itemId)?.vectors.clear();
    },
    dropOthers: async (keep, limit) => {
      let dropped = 0;
      for (const { vectors } of items.values())
        for (const fingerprint of vectors.keys()) if (dropped < limit && !keep.includes(fingerprint) && vectors.delete(fingerprint)) dropped++;
      return dropped;
    },
  };
}
