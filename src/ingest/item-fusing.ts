import type { Logger } from 'pino';
import type { HiddenStates, StoredVector } from '../domain/item.js';
import type { Artifact } from '../model/artifact.js';
import type { Fuser } from '../model/fuser.js';
import { storageFaultOf } from '../storage-faults.js';
import type { ItemStore } from '../store/items.js';
import type { FusedItem, VectorStore } from '../store/vectors.js';

/** A model that fuses items: its artifact, and its item tower on a thread. */
export interface ItemModel {
  readonly artifact: Pick<Artifact, 'fingerprint' | 'manifest' | 'idRows'>;
  readonly fuser: Pick<Fuser, 'fuse'>;
}

/** A fused vector and the fingerprint of its model. */
export interface FusedVector extends StoredVector {
  fingerprint: string;
}

/** Whether the model can fuse the item: from its hidden states, or from its row of the ID table. */
export const isFusable = ({ artifact: { manifest, idRows } }: ItemModel, itemId: string, hasStates: boolean): boolean =>
  manifest.variant === 'id' ? idRows.has(itemId) : hasStates || (manifest.variant === 'dff' && idRows.has(itemId));

/** [d], not normalised; null when the model cannot fuse the item. Hidden states of another shape than [L, D] of the model count as absent. */
export async function fuseItem(model: ItemModel, itemId: string, states: HiddenStates | null): Promise<FusedVector | null> {
  const { artifact, fuser } = model;
  const { layers, hidden_dim: width } = artifact.manifest;
  const usable = states !== null && states.shape[0] === layers.count && states.shape[1] === width ? states : null;
  if (!isFusable(model, itemId, usable !== null)) return null;
  const { vector, idShare } = await fuser.fuse({ itemId, hiddenStates: usable });
  return { vector, id_share: idShare, fingerprint: artifact.fingerprint };
}

/** Hidden states of an item. Damaged ones count as absent: the item is placed by its ID alone, or not at all, until it is written again. */
export async function soundStates(itemId: string, items: Pick<ItemStore, 'hiddenStates'>, log: Pick<Logger, 'error'>): Promise<HiddenStates | null> {
  try {
    return await items.hiddenStates(itemId);
  } catch (error) {
    if (storageFaultOf(error) !== 'damaged') throw error;
    log.error({ item_id: itemId }, 'the hidden states of an item are damaged: send the item again');
    return null;
  }
}

interface SavingSetup {
  model: ItemModel;
  stores: { vectors: Pick<VectorStore, 'save'> };
  log: Pick<Logger, 'error'>;
}

/** Saves fused vectors. One that cannot be saved is searchable all the same; the next start fuses the item again. */
export async function saveFused(made: readonly FusedItem[], { model, stores, log }: SavingSetup): Promise<void> {
  if (made.length === 0) return;
  const { fingerprint } = model.artifact;
  await stores.vectors.save(fingerprint, made).catch((error: unknown) => log.error({ err: error, fingerprint }, 'fused vectors could not be saved'));
}
