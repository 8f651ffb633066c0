import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { KeyValueStore } from '../store/key-values.js';
import type { Generations } from './generations.js';
import { chosenFolder } from './model-choice.js';
import type { SwapState } from './swap.js';

const ENDED: ReadonlySet<SwapState> = new Set(['active', 'failed']);

export interface FollowingSetup {
  keyValues: Pick<KeyValueStore, 'get'>;
  generations: Pick<Generations, 'current' | 'swap' | 'register' | 'activate'>;
  log: Pick<Logger, 'info' | 'error'>;
}

/**
 * Lets this server take the model that another server over the same store has activated last. It makes the checks of a swap by itself;
 * a model that fails them here is not tried again, and the one before goes on serving here.
 * @returns a function that looks once; it never rejects
 */
export function createModelFollower({ keyValues, generations, log }: FollowingSetup): () => Promise<void> {
  /** The last choice that this server has looked at. */
  let seen = generations.current.artifact.folder;
  return async () => {
    try {
      const isSwapping = generations.swap !== null && !ENDED.has(generations.swap.state);
      const folder = await chosenFolder(keyValues);
      if (isSwapping || folder === null || folder === seen) return;
      seen = folder;
      if (folder === generations.current.artifact.folder) return;
      const { fingerprint } = await generations.register(folder);
      if (fingerprint === generations.current.artifact.fingerprint) return;
      log.info({ fingerprint, folder }, 'another server has activated a model: this one follows');
      await generations.activate(fingerprint);
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'the model that another server has activated cannot be used here');
    }
  };
}
