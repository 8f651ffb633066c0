import type { UserEvent } from '../../domain/event.js';
import type { CountChange, Erased, OldEvents } from '../events.js';
import { noteChanges, sequencesOf } from './changes-table.js';
import { proveBy, type Statements } from './database.js';

/** What one call of events has done. */
export interface Appended {
  /** [events] */
  accepted: boolean[];
  /** Sequence of its newest event; null: all were known. */
  sequence: number | null;
}

/** Appends the events of several calls in the transaction of the statements. @returns an entry for each call */
export async function appendEvents(statements: Statements, calls: readonly (readonly UserEvent[])[]): Promise<Appended[]> {
  const distinct = new Map<string, UserEvent>();
  for (const events of calls) for (const event of events) if (!distinct.has(event.event_id)) distinct.set(event.event_id, event);
  const sequences = await sequencesOf(statements);
  const sent = [...distinct.values()].map((event, place) => ({ ...event, place, sequence: sequences.of(place, distinct.size) }));
  const { rows } = await statements.query<{ event_id: string }>(
    // in the order of the ids: two servers with the same events wait for each other instead of blocking each other
    `WITH fresh AS (INSERT INTO event_ids SELECT id FROM unnest($1::text[]) AS s (id) ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id)
     INSERT INTO events (event_id, sequence, place, user_id, item_id, type, at, watch_ms, duration_ms, watch_portion, recommendation_id, positive)
     SELECT s.* FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::double precision[],
       $9::double precision[], $10::double precision[], $11::text[], $12::boolean[])
       AS s (event_id, sequence, place, user_id, item_id, type, at, watch_ms, duration_ms, watch_portion, recommendation_id, positive)
     JOIN fresh f ON f.event_id = s.event_id RETURNING event_id`,
    [
      sent.map((event) => event.event_id),
      sent.map((event) => event.sequence),
      sent.map((event) => event.place),
      sent.map((event) => event.user_id),
      sent.map((event) => event.item_id),
      sent.map((event) => event.type),
      sent.map((event) => event.at),
      sent.map((event) => event.watch_ms),
      sent.map((event) => event.duration_ms),
      sent.map((event) => event.watch_portion),
      sent.map((event) => event.recommendation_id),
      sent.map((event) => event.positive),
    ],
  );
  const [first] = sent.filter(({ event_id: id }) => id === rows[0]?.event_id);
  if (first !== undefined)
    proveBy(statements, 'SELECT 1 FROM events WHERE sequence = $1 AND at = $2 AND event_id = $3', [first.sequence, first.at, first.event_id]);
  const sequenceOf = new Map(sent.map((event) => [event.event_id, event.sequence]));
  const fresh = new Set(rows.map(({ event_id: id }) => id));
  return calls.map((events) => {
    let sequence: number | null = null;
    const accepted = events.map(({ event_id: id }) => {
      if (!fresh.delete(id)) return false; // it was known, or stood in an earlier place
      sequence = sequenceOf.get(id) ?? sequence;
      return true;
    });
    return { accepted, sequence };
  });
}

interface ErasedRow {
  sequence: number;
  event_id: string;
  item_id: string;
  at: number;
  type: string;
  positive: boolean;
}

/** What an erasure has taken, for readers that have counted it: the sequence tells them whether they have. */
export interface ErasureDetail {
  positives: [sequence: number, itemId: string, at: number][];
  impressions: [sequence: number, itemId: string][];
}

/** @param counted sequence up to which events were counted: those that were erased before anybody read them were not */
export function countsOfErasure(detail: string, counted: number): CountChange {
  const { positives, impressions } = JSON.parse(detail) as ErasureDetail; // written by this program only
  return {
    isErased: true,
    positives: positives.filter(([sequence]) => sequence <= counted).map(([, item_id, at]) => ({ item_id, at })),
    impressions: impressions.filter(([sequence]) => sequence <= counted).map(([, itemId]) => itemId),
  };
}

/** Null as a sequence: nothing was erased. */
export type ErasedNow = Omit<Erased, 'sequence'> & { sequence: number | null };

const ROW = 'sequence, event_id, item_id, at, type, positive';
const drop = (selects: string): string =>
  `DELETE FROM events e USING (${selects}) AS old WHERE e.at = old.at AND e.sequence = old.sequence AND e.event_id = old.event_id
   RETURNING ${ROW.split(', ')
     .map((name) => `e.${name}`)
     .join(', ')}`;

export async function eraseUser(statements: Statements, userId: string, limit: number): Promise<ErasedNow> {
  // the conditions are those of two indexes
  const kinds = [`type <> 'impression'`, `type = 'impression'`].map(
    (kind) => `(SELECT at, sequence, event_id FROM events WHERE user_id = $1 AND ${kind} LIMIT $2)`,
  );
  const { rows } = await statements.query<ErasedRow>(drop(`SELECT * FROM (${kinds.join(' UNION ALL ')}) AS both_kinds LIMIT $2`), [userId, limit]);
  return noteErasure(statements, userId, rows);
}

/** Drops events up to a sequence and those of a span of time, oldest first. */
export async function expireEvents(statements: Statements, { from, before, upTo }: OldEvents, limit: number): Promise<ErasedNow> {
  const first = '(SELECT at, sequence, event_id FROM events WHERE sequence <= $1 ORDER BY sequence LIMIT $2)';
  const oldest = '(SELECT at, sequence, event_id FROM events WHERE at >= $3 AND at < $4 ORDER BY at LIMIT $2)';
  const { rows } = await statements.query<ErasedRow>(drop(`SELECT * FROM (${first} UNION ${oldest}) AS either ORDER BY at LIMIT $2`), [
    upTo,
    limit,
    from,
    before,
  ]);
  return noteErasure(statements, '', rows);
}

async function noteErasure(statements: Statements, key: string, rows: readonly ErasedRow[]): Promise<ErasedNow> {
  const positives = rows.filter(({ positive }) => positive);
  const impressions = rows.filter(({ type }) => type === 'impression');
  if (rows.length === 0) return { events: 0, sequence: null };
  await statements.query('DELETE FROM event_ids WHERE event_id = ANY ($1)', [rows.map(({ event_id: id }) => id)]);
  const { first: sequence } = await sequencesOf(statements);
  const detail: ErasureDetail = {
    positives: positives.map((row) => [row.sequence, row.item_id, row.at]),
    impressions: impressions.map((row) => [row.sequence, row.item_id]),
  };
  await noteChanges(statements, [{ sequence, kind: 'erasure', key, detail: JSON.stringify(detail) }]);
  return { events: rows.length, sequence };
}
