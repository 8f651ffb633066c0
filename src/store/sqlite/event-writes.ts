import type Database from 'better-sqlite3';
import type { UserEvent } from '../../domain/event.js';
import type { EventsWritten, OldEvents } from '../events.js';
import type { ErasedRows, SequenceCounter } from './write-operations.js';

interface ErasedRow {
  sequence: number;
  item_id: string;
  at: number;
  type: string;
  positive: number;
}

/** Conditions of the two partial indexes of events by user: met_by_user (seen items) and impressions_by_user. A query needs one of them to use its index. */
const KINDS_BY_USER = [`type <> 'impression'`, `type = 'impression'`] as const;

export interface EventWrites {
  append(events: readonly UserEvent[]): EventsWritten;
  eraseUser(userId: string, limit: number): ErasedRows;
  expire(old: OldEvents, limit: number): ErasedRows;
}

export function prepareEventWrites(database: Database.Database, sequence: SequenceCounter): EventWrites {
  const putEvent = database.prepare(
    `INSERT INTO events (sequence, event_id, user_id, item_id, type, at, watch_ms, duration_ms, watch_portion, recommendation_id, positive)
     VALUES (@sequence, @event_id, @user_id, @item_id, @type, @at, @watch_ms, @duration_ms, @watch_portion, @recommendation_id, @positive)
     ON CONFLICT (event_id) DO NOTHING`,
  );
  const ofUser = KINDS_BY_USER.map((kind) =>
    database.prepare<[string, number], ErasedRow>(`SELECT sequence, item_id, at, type, positive FROM events WHERE user_id = ? AND ${kind} LIMIT ?`),
  );
  const oldest = database.prepare<[number, number, number], ErasedRow>(
    'SELECT sequence, item_id, at, type, positive FROM events WHERE at >= ? AND at < ? ORDER BY at LIMIT ?',
  );
  const first = database.prepare<[number, number], ErasedRow>(
    'SELECT sequence, item_id, at, type, positive FROM events WHERE sequence <= ? ORDER BY sequence LIMIT ?',
  );
  const dropEvent = database.prepare('DELETE FROM events WHERE sequence = ?');
  const markErasure = database.prepare('INSERT OR REPLACE INTO erasures (kind, sequence) VALUES (?, ?)');

  const erase = (kind: 'user' | 'age', rows: readonly ErasedRow[]): ErasedRows => {
    for (const row of rows) dropEvent.run(row.sequence);
    if (rows.length > 0) markErasure.run(kind, sequence.next());
    const positives = rows.filter(({ positive }) => positive === 1).map(({ item_id, at }) => ({ item_id, at }));
    const impressions = rows.filter(({ type }) => type === 'impression').map(({ item_id: itemId }) => itemId);
    return { events: rows.length, positives, impressions, sequence: sequence.newest };
  };

  return {
    append: (events) => {
      const accepted = events.map((event) => {
        const inserted = putEvent.run({ ...event, positive: event.positive ? 1 : 0, sequence: sequence.newest + 1 }).changes === 1;
        if (inserted) sequence.next();
        return inserted;
      });
      return { accepted, sequence: sequence.newest };
    },
    eraseUser: (userId, limit) => {
      const rows: ErasedRow[] = [];
      for (const select of ofUser) rows.push(...select.all(userId, limit - rows.length));
      return erase('user', rows);
    },
    expire: ({ from, before, upTo }, limit) => {
      const rows = first.all(upTo, limit);
      const dropped = new Set(rows.map(({ sequence: dropped }) => dropped));
      rows.push(...oldest.all(from, before, limit).filter((row) => !dropped.has(row.sequence)));
      return erase('age', rows.slice(0, limit));
    },
  };
}
