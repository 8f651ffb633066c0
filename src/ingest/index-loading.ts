import type { Logger } from 'pino';
import type { StoredVector } from '../domain/item.js';
import type { IndexChange, Retrieval } from '../retrieval/retrieval.js';
import type { ItemStore } from '../store/items.js';
import type { FusedItem, ItemWithVector, VectorStore } from '../store/vectors.js';
import { fuseItem, isFusable, saveFused, soundStates, type ItemModel } from './item-fusing.js';
import { fieldsOfStored } from './known-item.js';

export interface LoadOptions {
  /** Items read and saved together. */
  batch: number;
  /** Items fused and put together; absent: all of a batch. */
  step?: number;
  /** Awaited before each step; a rejection ends the loading. */
  pace?: () => Promise<void>;
  /** Called after each batch with the number of items handled so far. */
  onProgress?: (items: number) => void;
}

export interface LoadingSetup {
  model: ItemModel;
  stores: { items: Pick<ItemStore, 'hiddenStates'>; vectors: Pick<VectorStore, 'list' | 'save'> };
  retrieval: Pick<Retrieval, 'apply'>;
  log: Pick<Logger, 'error'>;
  /** Whether the item has changed since the loading began. The feed applies such items, because the loaded row may be older. */
  isClaimed: (itemId: string) => boolean;
}

/** Fills the retrieval from the store. Stored vectors of the model are used, missing ones are fused and saved. @throws when an item cannot be fused */
export async function loadFromStore(setup: LoadingSetup, { batch, step = batch, pace, onProgress }: LoadOptions): Promise<{ fused: number }> {
  const { model, stores, retrieval, isClaimed } = setup;
  const { fingerprint } = model.artifact;
  let fused = 0;
  let done = 0;
  for (let last: string | null = null; ;) {
    const rows: ItemWithVector[] = await stores.vectors.list(fingerprint, last, batch);
    if (rows.length === 0) return { fused };
    const made: FusedItem[] = [];
    for (let first = 0; first < rows.length; first += step) {
      await pace?.();
      const slice = rows.slice(first, first + step);
      const vectors = await vectorsOf(slice, setup);
      const changes: IndexChange[] = [];
      slice.forEach((row, n) => {
        if (isClaimed(row.item_id)) return;
        const stored = vectors[n] ?? null;
        changes.push({ kind: 'put', fields: fieldsOfStored(row), created: row.created_at, stored });
        if (stored !== null && row.stored === null) made.push({ item_id: row.item_id, sequence: row.sequence, ...stored });
      });
      await retrieval.apply(changes);
    }
    const own = made.filter(({ item_id: itemId }) => !isClaimed(itemId));
    await saveFused(own, setup);
    fused += own.length;
    done += rows.length;
    last = rows.at(-1)?.item_id ?? null;
    onProgress?.(done);
  }
}

/** [d] of each row; null where the model cannot fuse the item. */
async function vectorsOf(rows: readonly ItemWithVector[], { model, stores, log }: LoadingSetup): Promise<(StoredVector | null)[]> {
  const fuse = async ({ item_id: itemId, has_hidden_states: has }: ItemWithVector): Promise<StoredVector | null> => {
    const fused = await fuseItem(model, itemId, has ? await soundStates(itemId, stores.items, log) : null);
    return fused === null ? null : { vector: fused.vector, id_share: fused.id_share };
  };
  const isMissing = (row: ItemWithVector): boolean => row.stored === null && isFusable(model, row.item_id, row.has_hidden_states);
  if (!rows.some(isMissing)) return rows.map(({ stored }) => stored);
  return Promise.all(rows.map((row) => (isMissing(row) ? fuse(row) : row.stored)));
}
