/** Hidden states of a frozen video model for one item. */
export interface HiddenStates {
  dtype: 'float16' | 'float32';
  /** [L, D] */
  shape: [number, number];
  /** Little-endian, row-major. */
  data: Uint8Array;
}

/** A fused item vector. */
export interface StoredVector {
  /** [d], float32, not normalised */
  vector: Float32Array;
  /** Share of the ID embedding in the vector, 0 to 1. */
  id_share: number;
}

/** Times are milliseconds since 1970, UTC. */
export interface ItemFields {
  item_id: string;
  title: string | null;
  author_id: string | null;
  attributes: Record<string, unknown>;
  available_from: number | null;
  expires_at: number | null;
  hidden: boolean;
}

/** An item as the request path knows it, whichever engine has found it. */
export interface Item {
  readonly fields: ItemFields;
  /** Milliseconds since 1970; UNKNOWN_TIME when the item was imported. */
  readonly created: number;
  /** Number of the item's id in this process, see ItemInterner. */
  readonly index: number;
  /** Share of the ID embedding in its fused vector, 0 to 1; null where that is not known. */
  readonly idShare: number | null;
}

export const ITEM_STATES = ['searchable', 'pending_features', 'stored', 'hidden'] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/** @param takesFeatures whether the model would place the item by hidden states that it does not have yet */
export function stateOf({ hidden }: ItemFields, hasVector: boolean, takesFeatures: boolean): ItemState {
  if (hidden) return 'hidden';
  if (hasVector) return 'searchable';
  return takesFeatures ? 'pending_features' : 'stored';
}

export const AVAILABILITIES = ['now', 'scheduled', 'expired'] as const;
/** Whether the availability times of an item let it be served. `hidden` is not part of it. */
export type Availability = (typeof AVAILABILITIES)[number];

export function availabilityOf({ available_from: from, expires_at: until }: ItemFields, now: number): Availability {
  if (until !== null && until <= now) return 'expired';
  return from !== null && from > now ? 'scheduled' : 'now';
}

/** Hidden, not yet available and expired items are known, but never served. */
export const isServable = ({ fields }: Pick<Item, 'fields'>, now: number): boolean => !fields.hidden && availabilityOf(fields, now) === 'now';

/** Creation time of an imported item: nobody knows when it was published. */
export const UNKNOWN_TIME = 0;

/** How far a time may lie in the future: clocks differ, and they are set. One that is further ahead is wrong, or this clock is. */
export const CLOCK_TOLERANCE_MS = 24 * 3_600_000;

/** When the item was published, from which its freshness counts; null: that is not known, or was written while a clock was wrong. */
export function publishedAt({ fields, created }: Pick<Item, 'fields' | 'created'>, now: number): number | null {
  const at = fields.available_from ?? created;
  return at === UNKNOWN_TIME || at > now + CLOCK_TOLERANCE_MS ? null : at;
}
