import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { packageFile } from '../package-root.js';
import type { Stores } from '../store/stores.js';

const CHOICE_KEY = 'model_dir';
/** REELFUSE_MODEL_DIR as it was when the model was chosen. */
const SETTING_KEY = 'model_setting';
/** Remembered by name, because the package may move. */
const DEMO = 'demo';
/** Set while the bundled catalogue is imported: a start that is killed meanwhile is completed by the next one. */
const DEMO_IMPORT_KEY = 'demo_import';
const BEGUN = 'begun';

export const demoFile = (...parts: string[]): string => packageFile('models', 'demo', ...parts);

/** What the store keeps for a model folder. */
const choiceOf = (folder: string): string => (folder === demoFile('artifact') ? DEMO : folder);

export const isDemoModel = (folder: string): boolean => folder === DEMO || folder === demoFile('artifact');

export interface ModelChoice {
  folder: string;
  /** True: it is the bundled model, and the data folder has no items yet, or an earlier start has not imported all of them. */
  isFreshDemo: boolean;
  /** Before the import of the bundled catalogue. */
  beginDemo: () => Promise<void>;
  /** Makes this the model of the next start without a setting. */
  remember: () => Promise<void>;
}

export interface ModelChoiceStores {
  keyValues: Pick<Stores['keyValues'], 'get' | 'set'>;
  items: { list: (after: null, limit: 1) => Promise<readonly unknown[]> };
}

/** Folder of the model that was activated last, by whichever server; null: none was. */
export async function chosenFolder(keyValues: Pick<Stores['keyValues'], 'get'>): Promise<string | null> {
  const choice = await keyValues.get(CHOICE_KEY);
  return choice === DEMO ? demoFile('artifact') : choice;
}

/** Makes this the model of the next start, unless the setting changes. */
export const rememberModel = (keyValues: Pick<Stores['keyValues'], 'get' | 'set'>, folder: string): Promise<void> =>
  keyValues.set(CHOICE_KEY, choiceOf(folder));

/**
 * Chooses the model of this start. In this order:
 * 1. REELFUSE_MODEL_DIR, when it has changed since the last start, or the model that was last active is gone;
 * 2. the model that was last active;
 * 3. the bundled demo, when the data folder is empty.
 * @throws ConfigError when none of them applies
 */
export async function chooseModel(setting: string, { keyValues, items }: ModelChoiceStores): Promise<ModelChoice> {
  const remembered = await keyValues.get(CHOICE_KEY);
  const isEmpty = (await items.list(null, 1)).length === 0; // counting a million takes most of a second
  const isBegun = (await keyValues.get(DEMO_IMPORT_KEY)) === BEGUN;
  const given = setting === '' ? '' : resolve(setting);
  const isGone = remembered !== null && remembered !== DEMO && !existsSync(remembered);
  const isOverruled = given !== '' && (isGone || given !== (await keyValues.get(SETTING_KEY)));
  const chosen = isOverruled ? given : (remembered ?? (isEmpty || isBegun ? DEMO : null));
  if (chosen === null)
    throw new ConfigError('REELFUSE_MODEL_DIR is not set, and the data folder holds a catalogue that was imported without a model');
  const isDemo = chosen === DEMO;
  return {
    folder: isDemo ? demoFile('artifact') : chosen,
    isFreshDemo: isDemo && (isEmpty || isBegun),
    beginDemo: () => keyValues.set(DEMO_IMPORT_KEY, BEGUN),
    remember: async () => {
      if (remembered !== chosen) await keyValues.set(CHOICE_KEY, chosen);
      if (isOverruled) await keyValues.set(SETTING_KEY, given);
      if (isDemo && (isBegun || isEmpty)) await keyValues.set(DEMO_IMPORT_KEY, 'done');
    },
  };
}
