import type { Logger } from 'pino';
import type { HiddenStates } from '../domain/item.js';
import type { IndexLevel, WrittenChange } from '../ingest/indexer.js';
import { fuseItem, isFusable, type FusedVector } from '../ingest/item-fusing.js';
import { isOf, type LineUp, type Loaded } from './line-up.js';

/** What writes need of all loaded generations. Only the serving one can fail a write; another one that fails never serves. */
export interface FanOut {
  /** Vectors by each loaded model that can place the item; what is left out here, the indexer of its generation fuses. */
  fuse(itemId: string, states: HiddenStates | null): Promise<FusedVector[]>;
  /** Resolves when the change is at this level in every generation that could serve next. */
  indexed(change: WrittenChange, level: IndexLevel): Promise<void>;
}

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
      if (loaded === lineUp.active) throw error; // another one has failed or was closed, and said so
    }
  };
  /** Once a model: a rebuilt index has the vectors of the one it replaces. */
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
