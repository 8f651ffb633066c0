import type { KnownAttribute } from '../../domain/attribute-registry.js';
import type { AttributeType } from '../../domain/attributes.js';
import type { UserEvent } from '../../domain/event.js';
import type { ItemFields } from '../../domain/item.js';
import type { FieldError } from '../../errors.js';
import type { CountChange, Erased, EventsWritten, OldEvents } from '../events.js';
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
  | { type: 'discardVectors'; itemIds: readonly string[] }
  | { type: 'declareAttribute'; name: string; attributeType: AttributeType; checkedUpTo: number }
  | { type: 'removeAttribute'; name: string; checkedUpTo: number }
  | { type: 'registerModel'; model: ModelRecord }
  | { type: 'keepAnswer'; answer: KeptAnswer; dropBefore: number }
  /** isFirst: only where there is none. */
  | { type: 'setValue'; key: string; value: string; isFirst: boolean };

/** Result of a write of an item. */
export interface PutWritten extends ItemWritten {
  /** Attributes that have become known by it, or have changed. */
  attributes: readonly KnownAttribute[];
}

/** Result of a change of fields. */
export interface FieldsWritten extends PutWritten {
  has_hidden_states: boolean;
}

/** Result of an erasure. */
export interface ErasedRows extends Erased, Pick<CountChange, 'positives' | 'impressions'> {}

export type WriteValue = PutWritten | FieldsWritten | EventsWritten | ErasedRows | KnownAttribute | { dropped: number } | { sequence: number } | null;

/** A ReelfuseError as it travels between threads. */
export interface Refusal {
  status: number;
  code: string;
  detail: string;
  errors: FieldError[];
}

export type WriteOutcome = { value: WriteValue } | { refusal: Refusal } | { error: string; code: string };

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
