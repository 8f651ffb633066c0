import type { Logger } from 'pino';
import type { HiddenStates } from '../domain/item.js';
import type { IndexLevel, WrittenChange } from '../ingest/indexer.js';
import { fuseItem, isFusable, type FusedVector } from '../ingest/item-fusing.js';
import { isOf, type LineUp, type Loaded } from './line-up.js';

/** What writes need of all loaded generations. Only the serving generation can fail a write. Another one that fails a write never serves. */
export interface FanOut {
  /** Vectors by each loaded model that can fuse the item. Where a vector is left out, the indexer of that generation fuses the item. */
  fuse(itemId: string, states: HiddenStates | null): Promise<FusedVector[]>;
  /** Resolves when the change is at this level in every generation that could serve next. */
  indexed(change: WrittenChange, level: IndexLevel): Promise<void>;
}

/** Fans writes out to the active, standby and preparing generation of a line-up. */
export function createFanOut(lineUp: LineUp, log: Pick<Logger, 'warn'>): FanOut {
  const fuseBy = async (loaded: Loaded, itemId: string, states: HiddenStates | null): Promise<FusedVector | null> => {
    const { generation } = loaded;
    try {
      return await generation.lease(() => fuseItem(generation, itemId, states));
    } catch (error) {
      if (loaded === lineUp.active) throw error;
      log.warn(
        { err: error, fingerprint: generation.artifact.fingerprint },
        'a model that does not serve could not fuse an item; its indexer tries again',
      );
      return null;
    }
  };
  const indexedBy = async (loaded: Loaded, change: WrittenChange, level: IndexLevel): Promise<void> => {
    try {
      await loaded.generation.indexer.indexed(change, level);
    } catch (error) {
      if (loaded === lineUp.active) throw error; // another generation has failed or was closed, and has logged it
    }
  };
  /** One generation for each model: a rebuilt index uses the vectors of the index that it replaces. */
  const fusing = (itemId: string, hasStates: boolean): Loaded[] =>
    lineUp.loaded.filter(
      (loaded, n, all) =>
        isFusable(loaded.generation, itemId, hasStates) && all.findIndex((other) => isOf(other, loaded.generation.artifact.fingerprint)) === n,
    );
  return {
    fuse: async (itemId, states) => {
      const models = fusing(itemId, states !== null);
      if (models.length === 0) return [];
      const fused = await Promise.all(models.map((loaded) => fuseBy(loaded, itemId, states)));
      return fused.filter((vector) => vector !== null);
    },
    indexed: async (change, level) => {
      const { loaded } = lineUp;
      if (loaded.length === 1) await indexedBy(lineUp.active, change, level);
      else await Promise.all(loaded.map((each) => indexedBy(each, change, level)));
    },
  };
}
