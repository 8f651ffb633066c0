import type { Stores } from '../../../src/store/stores.js';
import { createMemoryAttributes } from './attributes.js';
import { createMemoryChanges } from './changes.js';
import { createMemoryData, share, type MemoryData } from './data.js';
import { createMemoryEvents } from './events.js';
import { createMemoryItems } from './items.js';
import { createMemoryIdempotency, createMemoryKeyValues, createMemoryModels } from './records.js';
import { createMemoryVectors } from './vectors.js';

/** The smallest engine that keeps the contracts: what a second one has to write. Nothing of it is durable but `data`. */
export function openMemoryStores(data: MemoryData = createMemoryData()): Stores {
  const shared = share(data);
  return {
    items: createMemoryItems(shared),
    vectors: createMemoryVectors(shared),
    events: createMemoryEvents(shared),
    attributes: createMemoryAttributes(shared),
    models: createMemoryModels(shared),
    changes: createMemoryChanges(shared),
    keyValues: createMemoryKeyValues(shared),
    idempotency: createMemoryIdempotency(shared),
    close: async () => undefined,
  };
}
