import type { AttributeStore } from './attributes.js';
import type { ChangeFeed } from './changes.js';
import type { EventStore } from './events.js';
import type { IdempotencyStore } from './idempotency.js';
import type { ItemStore } from './items.js';
import type { KeyValueStore } from './key-values.js';
import type { ModelStore } from './models.js';
import type { VectorStore } from './vectors.js';

/**
 * The contracts of this folder, implemented by one engine. A user takes the parts that it needs. Ids are ordered by their UTF-8 bytes.
 * `test/store/conformance` tests what each engine must satisfy; `test/store/memory` is a small engine.
 */
export interface Stores {
  items: ItemStore;
  vectors: VectorStore;
  events: EventStore;
  models: ModelStore;
  attributes: AttributeStore;
  changes: ChangeFeed;
  keyValues: KeyValueStore;
  idempotency: IdempotencyStore;
  /** Waits for writes under way, then closes the engine. */
  close(): Promise<void>;
}
