import type Database from 'better-sqlite3';
import type { RecentItems } from '../events.js';
import { addOlderPositives, itemsOfEvents, RECENT_EVENTS, RECENT_ITEMS, toRecentItems, type SeenRow } from '../recent-items.js';

/** @returns a function that reads the recent items of a user */
export function createRecentItems(database: Database.Database): (userId: string) => RecentItems {
  const newest = database
    .prepare<[string, number], SeenRow>(
      `SELECT item_id, at, positive FROM events WHERE user_id = ? AND type <> 'impression' ORDER BY at DESC, sequence DESC LIMIT ?`,
    )
    .raw();
  const newestPositives = database
    .prepare<[string, number], [itemId: string, at: number]>(
      'SELECT item_id, at FROM events WHERE user_id = ? AND positive = 1 ORDER BY at DESC, sequence DESC LIMIT ?',
    )
    .raw();

  return (userId) => {
    let found = itemsOfEvents([]);
    for (const limit of RECENT_EVENTS) {
      const rows = newest.all(userId, limit);
      found = itemsOfEvents(rows);
      if (rows.length < limit && found.seen.size < RECENT_ITEMS) return toRecentItems(found); // the user has no further events
      if (found.seen.size === RECENT_ITEMS) break;
    }
    addOlderPositives(found, newestPositives.all(userId, RECENT_ITEMS));
    return toRecentItems(found);
  };
}
