import type { Stores } from '../../../src/store/stores.js';
import { attributesConformance } from './attributes.js';
import { changesConformance } from './changes.js';
import { eventsConformance } from './events.js';
import { itemsConformance } from './items.js';
import { idempotencyConformance, keyValuesConformance, modelsConformance } from './records.js';
import type { StoresEngine } from './stores.js';
import { vectorsConformance } from './vectors.js';

/** A part that the stores get is missing here until it has a suite; that `close` waits is tested with the items. */
export const SUITES: Record<Exclude<keyof Stores, 'close'>, (engine: StoresEngine) => void> = {
  items: itemsConformance,
  vectors: vectorsConformance,
  events: eventsConformance,
  attributes: attributesConformance,
  models: modelsConformance,
  changes: changesConformance,
  keyValues: keyValuesConformance,
  idempotency: idempotencyConformance,
};
