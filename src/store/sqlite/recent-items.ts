import type Database from 'better-sqlite3';
import type { RecentItems } from '../events.js';

/** Items, and positives, that requests know of. */
const RECENT_ITEMS = 1000;
/** Events that are read for them: nearly every user has no more than the first number, few need the last. */
const RECENT_EVENTS = [1000, 4000, 16_000];

type SeenRow = [itemId: string, at: number, positive: number];

/** Reads what a user has seen lately. */
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
      seen.clear(); // read again from the newest on, which keeps them in order
      positives.clear();
      addUntilFull(rows, seen, positives);
      if (rows.length < limit && seen.size < RECENT_ITEMS) return { positives: [...positives], seen }; // these are all
      if (seen.size === RECENT_ITEMS) break;
    }
    // older than what was seen lately, but still the history
    for (const [itemId, at] of newestPositives.all(userId, RECENT_ITEMS)) {
      positives.add(itemId);
      if (!seen.has(itemId)) seen.set(itemId, at);
    }
    return { positives: [...positives], seen };
  };
}

/** One item may have many events: more of them are read until there are enough different items. */
function addUntilFull(rows: readonly SeenRow[], seen: Map<string, number>, positives: Set<string>): void {
  for (const [itemId, at, positive] of rows) {
    if (!seen.has(itemId)) {
      if (seen.size === RECENT_ITEMS) return;
      seen.set(itemId, at);
    }
    if (positive === 1) positives.add(itemId);
  }
}
