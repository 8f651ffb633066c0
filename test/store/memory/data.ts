import type { KnownAttribute } from '../../../src/domain/attribute-registry.js';
import type { HiddenStates, StoredVector } from '../../../src/domain/item.js';
import type { UserEvent } from '../../../src/domain/event.js';
import type { CountChange } from '../../../src/store/events.js';
import type { ItemChange } from '../../../src/store/changes.js';
import type { KeptAnswer } from '../../../src/store/idempotency.js';
import type { StoredItem } from '../../../src/store/items.js';
import type { ModelRecord } from '../../../src/store/models.js';
import { createWatermark, type Watermark } from '../../../src/store/watermark.js';

/** What a database would hold: it outlives the stores that are opened over it. */
export interface MemoryData {
  /** The newest change of anything. */
  sequence: number;
  items: Map<string, MemoryItem>;
  /** Every change of an item, oldest first. */
  changes: ItemChange[];
  /** By event_id; in order of their sequences. */
  events: Map<string, UserEvent & { sequence: number }>;
  attributes: Map<string, KnownAttribute>;
  models: Map<string, ModelRecord>;
  values: Map<string, string>;
  answers: Map<string, KeptAnswer>;
}

export interface MemoryItem {
  item: StoredItem;
  hiddenStates: HiddenStates | null;
  /** By fingerprint. */
  vectors: Map<string, StoredVector>;
}

export const createMemoryData = (): MemoryData => ({
  sequence: 0,
  items: new Map(),
  changes: [],
  events: new Map(),
  attributes: new Map(),
  models: new Map(),
  values: new Map(),
  answers: new Map(),
});

/** What the parts of one opened engine share. */
export interface Shared {
  data: MemoryData;
  newest: Watermark;
  itemListeners: Set<() => void>;
  attributeListeners: Set<(name: string, known: KnownAttribute | null) => void>;
  userListeners: Set<(userId: string | null) => void>;
  countListeners: Set<(change: CountChange) => void>;
}

export const share = (data: MemoryData): Shared => ({
  data,
  newest: createWatermark(data.sequence),
  itemListeners: new Set(),
  attributeListeners: new Set(),
  userListeners: new Set(),
  countListeners: new Set(),
});

/** The next sequence, visible at once. */
export function nextSequence({ data, newest }: Shared): number {
  newest.advance(++data.sequence);
  return data.sequence;
}

/** Ids by their UTF-8 bytes, after the given one. */
export function pageOf<Entry>(entries: ReadonlyMap<string, Entry>, after: string | null, limit: number): Entry[] {
  const isAfter = ([id]: [string, Entry]): boolean => after === null || byBytes(id, after) > 0;
  return [...entries]
    .filter(isAfter)
    .sort(([a], [b]) => byBytes(a, b))
    .slice(0, limit)
    .map(([, entry]) => entry);
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
