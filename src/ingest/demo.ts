import { type PositiveRule } from './event-input.js';
import { InputError } from '../errors.js';
import type { Store } from '../store/store.js';
import { importHistory } from './import-history.js';
import { importItems, openFeatures } from './import-items.js';
import type { ExpectedShape } from './item-input.js';
import { demoFile } from '../generations/model-choice.js';

/** Imports the bundled synthetic catalogue and its users. @throws InputError when the package's own files are damaged */
export async function importDemo(store: Store, expected: ExpectedShape, positives: PositiveRule): Promise<void> {
  const features = openFeatures(demoFile('hidden_states.safetensors'), expected);
  try {
    const items = await importItems(demoFile('items.jsonl'), features, expected, store);
    const events = await importHistory(demoFile('events.jsonl'), positives, store);
    const [bad] = [...items.rejected, ...events.rejected];
    if (bad !== undefined) throw new InputError(`the bundled demo is damaged: row ${bad.row}: ${bad.errors[0]?.pointer} ${bad.errors[0]?.detail}`);
  } finally {
    features.close();
  }
}
