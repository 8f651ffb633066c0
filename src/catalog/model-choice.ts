import { resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { packageFile } from '../package-root.js';
import type { Store } from '../store/store.js';

const KEY = 'model_dir';
/** Remembered by name, because the package may move. */
const DEMO = 'demo';

export const demoFile = (...parts: string[]): string => packageFile('models', 'demo', ...parts);

export interface ModelChoice {
  folder: string;
  /** The bundled model, and no catalogue yet. */
  isFreshDemo: boolean;
  /** Makes this the model of the next start without a setting. */
  remember: () => Promise<void>;
}

/** REELFUSE_MODEL_DIR, else the model of the last start, else the bundled demo for an empty data folder. @throws ConfigError */
export function chooseModel(setting: string, store: Pick<Store, 'meta' | 'setMeta' | 'countItems'>): ModelChoice {
  const remembered = store.meta(KEY);
  const isEmpty = store.countItems() === 0;
  const chosen = setting !== '' ? resolve(setting) : (remembered ?? (isEmpty ? DEMO : null));
  if (chosen === null)
    throw new ConfigError('REELFUSE_MODEL_DIR is not set, and the data folder holds a catalogue that was imported without a model');
  const isDemo = chosen === DEMO;
  return {
    folder: isDemo ? demoFile('artifact') : chosen,
    isFreshDemo: isDemo && isEmpty,
    remember: () => (remembered === chosen ? Promise.resolve() : store.setMeta(KEY, chosen)),
  };
}
