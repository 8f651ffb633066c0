import type { UserEvent } from '../../domain/event.js';
import type { ItemFields } from '../../domain/item.js';
import type { Erased, EventsWritten, OldEvents } from '../events.js';
import type { KeptAnswer } from '../idempotency.js';
import type { ItemWrite, ItemWritten } from '../items.js';
import type { ModelRecord } from '../models.js';
import type { FusedItem } from '../vectors.js';

/** Operations of the writer thread. Each is applied as a whole or not at all. */
export type WriteOperation =
  | { type: 'putItem'; write: ItemWrite }
  | { type: 'updateItem'; item: ItemFields }
  | { type: 'deleteItem'; itemId: string }
  | { type: 'appendEvents'; events: readonly UserEvent[] }
  | { type: 'eraseUser'; userId: string; limit: number }
  | { type: 'expireEvents'; old: OldEvents; limit: number }
  | { type: 'saveVectors'; fingerprint: string; vectors: readonly FusedItem[] }
  | { type: 'dropVectors'; keep: readonly string[]; limit: number }
  | { type: 'registerModel'; model: ModelRecord }
  | { type: 'keepAnswer'; answer: KeptAnswer; dropBefore: number }
  | { type: 'setValue'; key: string; value: string };

/** Result of a change of fields. */
export interface FieldsWritten extends ItemWritten {
  has_hidden_states: boolean;
}

export type WriteValue = ItemWritten | FieldsWritten | EventsWritten | Erased | { dropped: number } | { sequence: number } | null;
export type WriteOutcome = { value: WriteValue } | { error: string };

/** A durable write with its result. */
export interface DoneWrite {
  operation: WriteOperation;
  value: WriteValue;
}

/** Hands out the change sequence. */
export interface SequenceCounter {
  readonly newest: number;
  next(): number;
}
