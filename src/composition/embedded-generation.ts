import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import type { ItemInterner } from '../domain/item-interner.js';
import { createGeneration, type Generation } from '../generations/generation.js';
import { layerShares } from '../generations/layer-shares.js';
import { createIndexer } from '../ingest/indexer.js';
import type { SnapshotSubject } from '../maintenance/snapshots/snapshot-subject.js';
import type { Metrics } from '../metrics.js';
import type { Artifact } from '../model/artifact.js';
import { startFuser } from '../model/fuser.js';
import { startRecommenders, type RecommenderPool } from '../model/recommender-pool.js';
import type { ServingGeneration } from '../recommend/recommender.js';
import { createEmbeddedRetrieval } from '../retrieval/embedded/embedded-retrieval.js';
import type { GenerationImage } from '../retrieval/embedded/generation-image.js';
import type { ItemTable } from '../retrieval/embedded/item-table.js';
import type { Stores } from '../store/stores.js';
import { hnswSettings, poolSettings } from './settings.js';

export interface GenerationOpening {
  config: Config;
  stores: Stores;
  interner: ItemInterner;
  clock: Clock;
  metrics: Metrics;
  log: Logger;
}

/** A generation whose retrieval is in this process's memory. */
export interface EmbeddedGeneration extends Generation {
  readonly table: ItemTable;
  readonly pool: RecommenderPool;
  readonly image: GenerationImage;
}

/** Starts the threads of a model and runs its golden vectors. @throws ArtifactError when the model must not be used */
export async function openGeneration(artifact: Artifact, opening: GenerationOpening, onCrash: (error: Error) => void): Promise<EmbeddedGeneration> {
  const { config, stores, interner, clock, metrics, log } = opening;
  const fuser = await startFuser(artifact, config, metrics, onCrash);
  try {
    const pool = await startRecommenders(artifact, poolSettings(config), metrics, onCrash);
    const { fingerprint, manifest } = artifact;
    const { provider, precision } = pool;
    log.info(
      {
        fingerprint,
        version: manifest.version,
        item_tower: fuser.provider,
        user_tower: provider,
        user_tower_precision: precision,
        passed_over: fuser.skipped,
      },
      'model verified: digests and golden vectors hold',
    );
    const { retrieval, catalogue, image, table } = createEmbeddedRetrieval({ manifest, pool, interner, clock });
    const indexer = createIndexer({ model: { artifact, fuser }, stores, retrieval, log, onFailure: onCrash });
    return Object.assign(createGeneration({ artifact, fuser, retrieval, catalogue, indexer, userTower: { provider, precision } }), {
      image,
      table,
      pool,
    });
  } catch (error) {
    await fuser.close();
    throw error;
  }
}

/** The generation as requests see it. */
export function servingOf(generation: Generation, { items }: Pick<Stores, 'items'>): ServingGeneration {
  const { artifact, retrieval, catalogue, lease } = generation;
  const { version, layer_weights } = artifact.manifest;
  return {
    model: { fingerprint: artifact.fingerprint, version, layer_weights },
    retrieval,
    catalogue,
    layerShares: async (itemId) => layerShares(generation, itemId, await items.hiddenStates(itemId)),
    lease,
  };
}

/** The generation as snapshots see it. */
export function snapshotSubject(generation: EmbeddedGeneration, config: Config): SnapshotSubject {
  const { artifact, image, indexer, lease } = generation;
  return {
    fingerprint: artifact.fingerprint,
    dim: artifact.manifest.dim,
    hnsw: hnswSettings(config),
    image,
    get firstRecalls() {
      return generation.firstRecalls;
    },
    set firstRecalls(recalls) {
      generation.firstRecalls = recalls;
    },
    lease,
    indexed: () => indexer.caughtUp(),
  };
}
