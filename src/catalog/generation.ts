import { floatsOf } from '../model/safetensors.js';
import type { Artifact } from '../model/artifact.js';
import type { Fuser } from '../model/fuser.js';
import type { RecommenderPool } from '../model/recommender-pool.js';
import type { HiddenStates, Store } from '../store/store.js';
import { createCatalogue, type Catalogue, type PublishedItem } from './catalogue.js';

/** One model's towers, vectors and index: a request is answered by exactly one. */
export interface Generation {
  artifact: Artifact;
  fuser: Fuser;
  pool: RecommenderPool;
  catalogue: Catalogue;
}

export function createGeneration(artifact: Artifact, fuser: Fuser, pool: RecommenderPool): Generation {
  const { dim, similarity } = artifact.manifest;
  return { artifact, fuser, pool, catalogue: createCatalogue(dim, similarity === 'cosine', pool) };
}

/** Rows fused, saved and published together while loading. */
const LOAD_BATCH = 1024;

export const decodeHiddenStates = (states: HiddenStates): Float32Array => floatsOf(states.data, states.dtype === 'float16' ? 'F16' : 'F32');

/** Whether the model can place the item: by its hidden states, or by its own row of the ID table. */
export const isFusable = ({ manifest, idRows }: Artifact, itemId: string, hasStates: boolean): boolean =>
  manifest.variant === 'id' ? idRows.has(itemId) : hasStates || (manifest.variant === 'dff' && idRows.has(itemId));

/**
 * Fills the generation from the store: stored vectors of this fingerprint are taken as they are, the others are
 * fused and saved. Hidden states that do not fit the model count as absent.
 * @param onProgress called with the number of items published so far
 */
export async function loadGeneration(
  { artifact, fuser, catalogue }: Generation,
  store: Store,
  onProgress: (items: number) => void,
): Promise<{ fused: number }> {
  const { fingerprint, manifest } = artifact;
  const fits = (states: HiddenStates | null): states is HiddenStates =>
    states !== null && states.shape[0] === manifest.layers.count && states.shape[1] === manifest.hidden_dim;
  // the statement must not be open while this thread awaits, so rows are collected first
  const rows = [...store.itemsWithVectors(fingerprint)];
  let fused = 0;
  for (let first = 0; first < rows.length; first += LOAD_BATCH) {
    const batch = rows.slice(first, first + LOAD_BATCH);
    const made: { item_id: string; vector: Float32Array; id_share: number }[] = [];
    const published = await Promise.all(
      batch.map(async ({ stored, has_hidden_states: has, created_at: created, updated_at: _, sequence: __, ...fields }): Promise<PublishedItem> => {
        if (stored !== null) return { fields, created, vector: stored.vector, idShare: stored.id_share };
        const states = has && manifest.variant !== 'id' ? store.hiddenStates(fields.item_id) : null;
        const usable = fits(states) ? decodeHiddenStates(states) : null;
        if (!isFusable(artifact, fields.item_id, usable !== null)) return { fields, created, vector: null, idShare: null };
        const { vector, idShare } = await fuser.fuse({ itemId: fields.item_id, hiddenStates: usable });
        made.push({ item_id: fields.item_id, vector, id_share: idShare });
        return { fields, created, vector, idShare };
      }),
    );
    if (made.length > 0) await store.saveVectors(fingerprint, made);
    fused += made.length;
    await catalogue.publish(published);
    onProgress(catalogue.size);
  }
  return { fused };
}
