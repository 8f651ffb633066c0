import type { ChangeFeed } from './changes.js';
import type { EventStore } from './events.js';
import type { IdempotencyStore } from './idempotency.js';
import type { ItemStore } from './items.js';
import type { KeyValueStore } from './key-values.js';
import type { ModelStore } from './models.js';
import type { VectorStore } from './vectors.js';

/**
 * One database behind the contracts of this folder; who needs a part takes that part. Ids are ordered by their UTF-8 bytes.
 * `test/store/conformance` says what each engine has to keep to, `test/store/memory` is a small one.
 */
export interface Stores {
  items: ItemStore;
  vectors: VectorStore;
  events: EventStore;
  models: ModelStore;
  changes: ChangeFeed;
  keyValues: KeyValueStore;
  idempotency: IdempotencyStore;
  /** Waits for writes on their way. */
  close(): Promise<void>;
}
