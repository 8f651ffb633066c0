import type { PositiveRule } from '../domain/event.js';
import { InputError } from '../errors.js';
import type { Stores } from '../store/stores.js';
import { importHistory } from './import-history.js';
import { importItems, openFeatures } from './import-items.js';
import type { ExpectedShape } from './item-input.js';

export interface DemoSetup {
  /** The path of a file of the demo. */
  fileOf: (name: string) => string;
  expected: ExpectedShape;
  positives: PositiveRule;
  stores: Pick<Stores, 'items' | 'events' | 'keyValues'>;
}

/** Imports the bundled synthetic catalogue and its users. @throws InputError when the package's own files are damaged */
export async function importDemo({ fileOf, expected, positives, stores }: DemoSetup): Promise<void> {
  const features = openFeatures(fileOf('hidden_states.safetensors'), expected);
  try {
    const items = await importItems(fileOf('items.jsonl'), features, expected, stores);
    const events = await importHistory(fileOf('events.jsonl'), positives, stores);
    const [bad] = [...items.rejected, ...events.rejected];
    if (bad !== undefined) throw new InputError(`the bundled demo is damaged: row ${bad.row}: ${bad.errors[0]?.pointer} ${bad.errors[0]?.detail}`);
  } finally {
    features.close();
  }
}
