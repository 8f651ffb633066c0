import { UNKNOWN_TIME, type ItemFields } from '../../../src/domain/item.js';
import type { ItemChange, WrittenItem } from '../../../src/store/changes.js';
import type { ItemStore, ItemWritten } from '../../../src/store/items.js';
import { register } from './attributes.js';
import { nextSequence, pageOf, type MemoryItem, type Shared } from './data.js';

export function createMemoryItems(shared: Shared): ItemStore {
  const { items } = shared.data;

  const save = (fields: ItemFields, rest: Omit<MemoryItem, 'item'>, isImport = false): ItemWritten => {
    register(shared, fields.attributes);
    const known = items.get(fields.item_id)?.item;
    const now = Date.now();
    const created = known?.created_at ?? (isImport ? UNKNOWN_TIME : now);
    const item = { ...structuredClone(fields), created_at: created, updated_at: now, sequence: nextSequence(shared) };
    items.set(item.item_id, { item, ...rest });
    return { sequence: item.sequence, created: known === undefined, created_at: item.created_at };
  };

  return {
    put: async ({ item, hiddenStates, vectors, isImport = false }) => {
      const byFingerprint = vectors.map(({ fingerprint, ...vector }) => [fingerprint, structuredClone(vector)] as const);
      const written = save(item, { hiddenStates: structuredClone(hiddenStates), vectors: new Map(byFingerprint) }, isImport);
      noteChange(shared, item.item_id, 'put', {
        fields: item,
        created_at: written.created_at,
        has_hidden_states: hiddenStates !== null,
        vectors: structuredClone(vectors),
      });
      return written;
    },
    updateFields: async (fields) => {
      const known = items.get(fields.item_id);
      if (known === undefined) return null;
      const written = save(fields, { hiddenStates: known.hiddenStates, vectors: known.vectors });
      const hasStates = known.hiddenStates !== null;
      noteChange(shared, fields.item_id, 'fields', { fields, created_at: written.created_at, has_hidden_states: hasStates, vectors: [] });
      return written;
    },
    delete: async (itemId) => {
      if (!items.delete(itemId)) return null;
      const sequence = nextSequence(shared);
      noteChange(shared, itemId, 'delete', null);
      return { sequence };
    },
    get: async (itemId) => structuredClone(items.get(itemId)?.item ?? null),
    getMany: async (itemIds) => [...new Set(itemIds)].flatMap((itemId) => structuredClone(items.get(itemId)?.item ?? [])),
    list: async (after, limit) => pageOf(items, after, limit).map(({ item }) => structuredClone(item)),
    count: async () => items.size,
    hiddenStates: async (itemId) => structuredClone(items.get(itemId)?.hiddenStates ?? null),
    withHiddenStates: async (itemIds) => new Set(itemIds.filter((itemId) => (items.get(itemId)?.hiddenStates ?? null) !== null)),
  };
}

/** Keeps every change of an item, newest last, and tells the listeners; the write has not resolved yet. */
function noteChange({ data, itemListeners }: Shared, itemId: string, kind: ItemChange['kind'], written: WrittenItem | null): void {
  data.changes.push({ sequence: data.sequence, item_id: itemId, kind, written: structuredClone(written) });
  for (const listener of itemListeners) listener();
}
