import type { Provider } from '../config.js';
import type { Manifest } from '../model/manifest.js';
import type { CatalogueStatus } from '../retrieval/catalogue.js';
import type { ModelRecord } from '../store/models.js';
import type { Generations } from './generations.js';

/** A registered model, and what runs of it. */
export interface KnownModel {
  record: ModelRecord;
  manifest: Manifest;
  state: 'active' | 'standby' | 'registered';
  /** Null: it is not loaded. */
  loaded: { status: CatalogueStatus; itemTower: Provider; userTower: Provider } | null;
}

export async function describeModel(record: ModelRecord, { current, standby }: Pick<Generations, 'current' | 'standby'>): Promise<KnownModel> {
  const manifest = JSON.parse(record.manifest) as Manifest; // written by this program only
  const generation = [current, standby].find((one) => one?.artifact.fingerprint === record.fingerprint) ?? null;
  if (generation === null) return { record, manifest, state: 'registered', loaded: null };
  const { catalogue, fuser, userTower } = generation;
  return {
    record,
    manifest,
    state: generation === current ? 'active' : 'standby',
    loaded: { status: await catalogue.status(), itemTower: fuser.provider, userTower: userTower.provider },
  };
}
