import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import type { EventStore, HistoryEntry, ItemTotal, PositiveEvent, RecentItems } from '../events.js';

/** Newest items that requests know of, and events that are looked at for them. */
const RECENT_ITEMS = 1000;
const RECENT_EVENTS = [1000, 4000, 16_000];
/** Totals read between two turns of the event loop. */
const PAGE = 2048;

type SeenRow = [itemId: string, at: number, positive: number];

/** One item may have many events: goes further back until there are enough different items. */
function recentOf(newest: (limit: number) => SeenRow[], newestPositives: (limit: number) => HistoryEntry[]): RecentItems {
  const seen = new Map<string, number>();
  const positives = new Set<string>();
  for (const limit of RECENT_EVENTS) {
    const events = newest(limit);
    seen.clear(); // read again from the newest on, which keeps them in order
    positives.clear();
    for (const [itemId, at, positive] of events) {
      if (!seen.has(itemId)) seen.set(itemId, at);
      if (positive === 1) positives.add(itemId);
    }
    if (events.length < limit) return { positives: [...positives], seen };
    if (seen.size >= RECENT_ITEMS) break;
  }
  // older than what was seen lately, but still the history
  for (const { item_id: itemId, at } of newestPositives(RECENT_ITEMS)) {
    positives.add(itemId);
    if (!seen.has(itemId)) seen.set(itemId, at);
  }
  return { positives: [...positives], seen };
}

export type EventReads = Pick<EventStore, 'history' | 'recent' | 'impressions' | 'positives' | 'users' | 'popularity' | 'impressionCounts'>;

/** @param totals a connection of its own: one that iterates answers nothing else meanwhile */
export function prepareEventReads(database: Database.Database, totals: Database.Database): EventReads {
  const history = database.prepare<[string, number], HistoryEntry>(
    'SELECT item_id, type, at FROM events WHERE user_id = ? AND positive = 1 ORDER BY at DESC, sequence DESC LIMIT ?',
  );
  const seen = database
    .prepare<[string, number], SeenRow>(
      `SELECT item_id, at, positive FROM events WHERE user_id = ? AND type <> 'impression' ORDER BY at DESC, sequence DESC LIMIT ?`,
    )
    .raw();
  const impressions = database.prepare<[string, number], { item_id: string; shown: number }>(
    `SELECT item_id, count(*) AS shown FROM events WHERE user_id = ? AND type = 'impression' AND at >= ? GROUP BY item_id`,
  );
  const positives = database.prepare<[number, number, number], PositiveEvent>(
    'SELECT sequence, item_id, at, recommendation_id FROM events WHERE positive = 1 AND at >= ? AND sequence > ? ORDER BY sequence LIMIT ?',
  );
  const users = database.prepare<[string, number], { user_id: string; events: number }>(
    'SELECT user_id, count(*) AS events FROM events WHERE positive = 1 AND user_id > ? GROUP BY user_id ORDER BY user_id LIMIT ?',
  );
  const isItem = 'EXISTS (SELECT 1 FROM items i WHERE i.item_id = e.item_id) AS is_item';
  const impressionCounts = totals.prepare<[], ItemTotal>(
    `SELECT item_id, count(*) AS total, ${isItem} FROM events e WHERE type = 'impression' GROUP BY item_id`,
  );
  const popularity = totals.prepare<[number, number], ItemTotal>(
    `SELECT item_id, sum(pow(2.0, (at - ?) * 1.0 / ?)) AS total, ${isItem} FROM events e WHERE positive = 1 GROUP BY item_id`,
  );
  return {
    history: async (userId, limit) => history.all(userId, limit),
    recent: async (userId) =>
      recentOf(
        (limit) => seen.all(userId, limit),
        (limit) => history.all(userId, limit),
      ),
    impressions: async (userId, since) => impressions.all(userId, since),
    positives: async (since, after, limit) => positives.all(since, after, limit),
    users: async (after, limit) => users.all(after ?? '', limit),
    popularity: (origin, halfLifeMs) => inPages(popularity.iterate(origin, halfLifeMs)),
    impressionCounts: () => inPages(impressionCounts.iterate()),
  };
}

/** Other work comes in between. */
async function* inPages<Row>(rows: Iterable<Row>): AsyncGenerator<Row[]> {
  let page: Row[] = [];
  for (const row of rows) {
    if (page.push(row) < PAGE) continue;
    yield page;
    page = [];
    await nextTurn();
  }
  yield page;
}
