import type Database from 'better-sqlite3';
import type { RecentItems } from '../events.js';

/** Maximum number of seen items, and of positives, that requests use. */
const RECENT_ITEMS = 1000;
/** Numbers of events to read, one after another until there are enough items. Nearly every user needs the first only. */
const RECENT_EVENTS = [1000, 4000, 16_000];

type SeenRow = [itemId: string, at: number, positive: number];

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
    const seen = new Map<string, number>();
    const positives = new Set<string>();
    for (const limit of RECENT_EVENTS) {
      const rows = newest.all(userId, limit);
      seen.clear(); // filled again from the newest event, to keep the order
      positives.clear();
      addUntilFull(rows, seen, positives);
      if (rows.length < limit && seen.size < RECENT_ITEMS) return { positives: [...positives], seen }; // the user has no further events
      if (seen.size === RECENT_ITEMS) break;
    }
    // positives older than the events above belong to the history too
    for (const [itemId, at] of newestPositives.all(userId, RECENT_ITEMS)) {
      positives.add(itemId);
      if (!seen.has(itemId)) seen.set(itemId, at);
    }
    return { positives: [...positives], seen };
  };
}

/** Adds the items of events, newest first, until there are enough different ones. */
function addUntilFull(rows: readonly SeenRow[], seen: Map<string, number>, positives: Set<string>): void {
  for (const [itemId, at, positive] of rows) {
    if (!seen.has(itemId)) {
      if (seen.size === RECENT_ITEMS) return;
      seen.set(itemId, at);
    }
    if (positive === 1) positives.add(itemId);
  }
}
