import type { Metrics } from '../metrics.js';
import type { HiddenStates, ItemFields, ItemWritten, Store } from '../store/store.js';
import { stateOf, type ItemState } from './catalogue.js';
import { decodeHiddenStates, isFusable, type Generation } from './generation.js';

export interface Receipt {
  item_id: string;
  created: boolean;
  state: ItemState;
  sequence: number;
  searchable_after_ms: number | null;
  fingerprint: string;
}

export interface Ingest {
  /** Fuses, stores and publishes; resolves when the item is durable and, where it has a vector, in every index replica. */
  put(fields: ItemFields, hiddenStates: HiddenStates | null): Promise<Receipt>;
  /** Null when there is no such item. Resolves when no later request can be served the item. */
  remove(itemId: string): Promise<{ sequence: number } | null>;
}

export function createIngest(store: Store, generation: Generation, metrics: Metrics): Ingest {
  const { artifact, fuser, catalogue } = generation;
  const last = new Map<string, Promise<unknown>>();

  /** Writes to one item take effect in the order of their arrival; different items do not wait for each other. */
  const inOrder = <Value>(itemId: string, task: () => Promise<Value>): Promise<Value> => {
    const mine = (last.get(itemId) ?? Promise.resolve()).then(task, task);
    last.set(itemId, mine);
    const forget = (): void => {
      if (last.get(itemId) === mine) last.delete(itemId);
    };
    mine.then(forget, forget);
    return mine;
  };

  return {
    put: (fields, hiddenStates) => {
      const received = performance.now();
      return inOrder(fields.item_id, async () => {
        const fusable = isFusable(artifact, fields.item_id, hiddenStates !== null);
        const fused = fusable
          ? await fuser.fuse({ itemId: fields.item_id, hiddenStates: hiddenStates === null ? null : decodeHiddenStates(hiddenStates) })
          : null;
        const vector = fused === null ? null : { vector: fused.vector, id_share: fused.idShare, fingerprint: artifact.fingerprint };
        const written: ItemWritten = await store.putItem({ item: fields, hiddenStates, vector });
        const created = catalogue.get(fields.item_id)?.created ?? Date.now();
        await catalogue.publish([{ fields, created, vector: fused?.vector ?? null, idShare: fused?.idShare ?? null }]);
        const elapsed = performance.now() - received;
        if (fused !== null) metrics.searchableSeconds.observe(elapsed / 1000);
        const item = catalogue.get(fields.item_id);
        return {
          item_id: fields.item_id,
          ...written,
          state: item === undefined ? 'stored' : stateOf(item, true),
          searchable_after_ms: fused === null ? null : elapsed,
          fingerprint: artifact.fingerprint,
        };
      });
    },
    remove: (itemId) =>
      inOrder(itemId, async () => {
        const deleted = await store.deleteItem(itemId);
        await catalogue.remove(itemId);
        return deleted;
      }),
  };
}
