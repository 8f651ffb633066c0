import { durationOf } from '../domain/event.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import type { ItemStore } from '../store/items.js';
import { needsDuration, type SentEvent } from './event-input.js';

export interface DurationSetup {
  items: Pick<ItemStore, 'getMany'>;
  /** Finds items of the serving generation in memory; the others are read from the store. */
  find: Retrieval['find'];
}

/** @returns the duration of each event's item in milliseconds; null: unknown, or not needed. All items are read in one query. */
export async function itemDurations(events: readonly SentEvent[], { items, find }: DurationSetup): Promise<readonly (number | null)[]> {
  const durations: (number | null)[] = events.map(() => null);
  const needing = [...events.keys()].filter((n) => needsDuration(events[n] as SentEvent)); // n < length
  if (needing.length === 0) return durations;
  const idOf = (n: number): string => events[n]?.item_id ?? '';
  const known = await find(needing.map(idOf));
  const unknown: number[] = [];
  needing.forEach((n, position) => {
    const item = known[position];
    if (item === undefined) unknown.push(n);
    else durations[n] = durationOf(item.fields.attributes);
  });
  if (unknown.length === 0) return durations;
  const stored = new Map((await items.getMany([...new Set(unknown.map(idOf))])).map(({ item_id: itemId, attributes }) => [itemId, attributes]));
  for (const n of unknown) durations[n] = durationOf(stored.get(idOf(n)));
  return durations;
}
