import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PositiveRule } from '../domain/event.js';
import type { FieldError } from '../errors.js';
import type { ChangeFeed } from '../store/changes.js';
import type { EventStore } from '../store/events.js';
import { itemDurations, type DurationSetup } from './durations.js';
import { MAX_EVENT_ID_LENGTH, completeEvent, parseEvent, type SentEvent } from './event-input.js';

/** Events that are checked in one turn of the event loop. */
const SLICE_ROWS = 512;
/** Rejected events with all of their errors; later ones have the first one only. */
const MAX_DETAILED = 100;

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
  const { sent, rejected } = await parseRows(rows, setup.now());
  if (sent.length === 0) return { accepted: 0, duplicates: 0, rejected, sequence: setup.changes.sequence };
  const durations = await itemDurations(sent, setup);
  const events = sent.map((event, n) => completeEvent(event, durations[n] ?? null, setup.positives));
  const { accepted, sequence } = await setup.events.append(events);
  const taken = accepted.filter(Boolean).length;
  return { accepted: taken, duplicates: events.length - taken, rejected, sequence };
}

async function parseRows(rows: readonly unknown[], now: number): Promise<{ sent: SentEvent[]; rejected: RejectedEvent[] }> {
  const sent: SentEvent[] = [];
  const rejected: RejectedEvent[] = [];
  for (const [index, row] of rows.entries()) {
    const parsed = parseEvent(row, `/events/${index}`, now);
    if (!Array.isArray(parsed)) sent.push(parsed);
    else {
      const id = (row as { event_id?: unknown } | null)?.event_id;
      const isNamed = typeof id === 'string' && id.length <= MAX_EVENT_ID_LENGTH;
      rejected.push({ index, ...(isNamed && { event_id: id }), errors: rejected.length < MAX_DETAILED ? parsed : parsed.slice(0, 1) });
    }
    if (index % SLICE_ROWS === SLICE_ROWS - 1) await nextTurn();
  }
  return { sent, rejected };
}
