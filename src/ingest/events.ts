import type { PositiveRule } from '../domain/event.js';
import type { FieldError } from '../errors.js';
import type { Popularity } from '../signals/popularity.js';
import type { ChangeFeed } from '../store/changes.js';
import type { EventStore } from '../store/events.js';
import { itemDurations, type DurationSetup } from './durations.js';
import { completeEvent, parseEvent, type SentEvent } from './event-input.js';

export interface RejectedEvent {
  index: number;
  event_id?: string;
  errors: FieldError[];
}

export interface IngestedEvents {
  accepted: number;
  /** Events whose event_id was known already. */
  duplicates: number;
  rejected: RejectedEvent[];
  sequence: number;
}

export interface EventIngestSetup extends DurationSetup {
  events: Pick<EventStore, 'append'>;
  changes: Pick<ChangeFeed, 'sequence'>;
  popularity: Pick<Popularity, 'add' | 'addImpressions'>;
  positives: PositiveRule;
  /** Wall time, milliseconds since 1970. */
  now: () => number;
}

/**
 * Stores events of users. When this resolves, they are durable and part of the next answers. Each event is checked by itself: an
 * invalid one does not stop the others. Pointers begin with /events.
 * @throws ReelfuseError 503 `overloaded`, 507 `storage_full`
 */
export async function ingestEvents(rows: readonly unknown[], setup: EventIngestSetup): Promise<IngestedEvents> {
  const { sent, rejected } = parseRows(rows, setup.now());
  if (sent.length === 0) return { accepted: 0, duplicates: 0, rejected, sequence: setup.changes.sequence };
  const durations = await itemDurations(sent, setup);
  const events = sent.map((event, n) => completeEvent(event, durations[n] ?? null, setup.positives));
  const { accepted, sequence } = await setup.events.append(events);
  const counted = events.filter((_, n) => accepted[n] === true);
  for (const { type, positive, item_id: itemId, at } of counted) {
    if (positive) setup.popularity.add(itemId, at);
    if (type === 'impression') setup.popularity.addImpressions(itemId, 1);
  }
  return { accepted: counted.length, duplicates: events.length - counted.length, rejected, sequence };
}

function parseRows(rows: readonly unknown[], now: number): { sent: SentEvent[]; rejected: RejectedEvent[] } {
  const sent: SentEvent[] = [];
  const rejected: RejectedEvent[] = [];
  rows.forEach((row, index) => {
    const parsed = parseEvent(row, `/events/${index}`, now);
    if (!Array.isArray(parsed)) sent.push(parsed);
    else {
      const id = (row as { event_id?: unknown } | null)?.event_id;
      rejected.push({ index, ...(typeof id === 'string' && { event_id: id }), errors: parsed });
    }
  });
  return { sent, rejected };
}
