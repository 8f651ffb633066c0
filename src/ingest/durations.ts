import { durationOf } from '../domain/event.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import type { ItemStore } from '../store/items.js';
import { needsDuration, type SentEvent } from './event-input.js';

/** Milliseconds by item id; an item of unknown duration is left out. */
export type Durations = ReadonlyMap<string, number>;

const NONE: Durations = new Map();

export interface DurationSetup {
  items: Pick<ItemStore, 'getMany'>;
  /** Of the serving generation: what it knows need not be read. */
  find: Retrieval['find'];
}

/** The durations that these events need, in one read. */
export async function durationsFor(events: readonly SentEvent[], { items, find }: DurationSetup): Promise<Durations> {
  const wanted = new Set<string>();
  for (const event of events) if (needsDuration(event)) wanted.add(event.item_id);
  if (wanted.size === 0) return NONE;
  const durations = new Map<string, number>();
  const note = (itemId: string, attributes: Record<string, unknown>): void => {
    const duration = durationOf(attributes);
    if (duration !== null) durations.set(itemId, duration);
  };
  const ids = [...wanted];
  const known = await find(ids);
  known.forEach((item) => {
    if (item !== undefined) note(item.fields.item_id, item.fields.attributes);
  });
  const unknown = ids.filter((_, n) => known[n] === undefined);
  if (unknown.length > 0) for (const { item_id: itemId, attributes } of await items.getMany(unknown)) note(itemId, attributes);
  return durations;
}
