import type Database from 'better-sqlite3';
import type { EventStore, HistoryEntry, PositiveEvent } from '../events.js';
import type { ReadGuard } from './read-guard.js';
import { createRecentItems } from './recent-items.js';

export type EventReads = Pick<EventStore, 'history' | 'recent' | 'impressions' | 'positives' | 'users'>;

export function prepareEventReads(database: Database.Database, guard: ReadGuard): EventReads {
  const history = database.prepare<[string, number], HistoryEntry>(
    'SELECT item_id, type, at FROM events WHERE user_id = ? AND positive = 1 ORDER BY at DESC, sequence DESC LIMIT ?',
  );
  const impressions = database.prepare<[string, number], { item_id: string; shown: number }>(
    `SELECT item_id, count(*) AS shown FROM events WHERE user_id = ? AND type = 'impression' AND at >= ? GROUP BY item_id`,
  );
  const positives = database.prepare<[number, number, number], PositiveEvent>(
    'SELECT sequence, item_id, at, recommendation_id FROM events WHERE positive = 1 AND at >= ? AND sequence > ? ORDER BY sequence LIMIT ?',
  );
  const users = database.prepare<[string, number], { user_id: string; events: number }>(
    'SELECT user_id, count(*) AS events FROM events WHERE positive = 1 AND user_id > ? GROUP BY user_id ORDER BY user_id LIMIT ?',
  );
  const recent = createRecentItems(database);
  return {
    history: guard((userId, limit) => history.all(userId, limit)),
    recent: guard(recent),
    impressions: guard((userId, since) => impressions.all(userId, since)),
    positives: guard((since, after, limit) => positives.all(since, after, limit)),
    users: guard((after, limit) => users.all(after ?? '', limit)),
  };
}
