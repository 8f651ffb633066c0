import type { EventStore, HistoryEntry, ItemTotal, ItemWeight, PositiveEvent } from '../events.js';
import { addOlderPositives, itemsOfEvents, RECENT_EVENTS, RECENT_ITEMS, toRecentItems, type SeenRow } from '../recent-items.js';
import type { Database } from './database.js';

export type EventReads = Pick<EventStore, 'history' | 'recent' | 'impressions' | 'positives' | 'users' | 'popularity' | 'impressionCounts'>;

/** Totals of one page. */
const PAGE = 2048;
/** Halvings after which nothing is left: PostgreSQL refuses a power that is too small for a number. */
const MOST_HALVINGS = 1000;

const IS_ITEM = 'CASE WHEN EXISTS (SELECT 1 FROM items i WHERE i.item_id = e.item_id) THEN 1 ELSE 0 END AS is_item';

/** @param appliedTo the newest change that this server has applied: totals go up to it, and the change feed goes on from there */
export function prepareEventReads(database: Pick<Database, 'rows' | 'pages'>, appliedTo: () => number): EventReads {
  const { rows } = database;
  const newest = async (userId: string, limit: number): Promise<SeenRow[]> =>
    (
      await rows<{ item_id: string; at: number; positive: boolean }>(
        `SELECT item_id, at, positive FROM events WHERE user_id = $1 AND type <> 'impression' ORDER BY at DESC, sequence DESC, place DESC LIMIT $2`,
        [userId, limit],
      )
    ).map((row) => [row.item_id, row.at, row.positive]);
  const history = (userId: string, limit: number): Promise<HistoryEntry[]> =>
    rows<HistoryEntry>('SELECT item_id, type, at FROM events WHERE user_id = $1 AND positive ORDER BY at DESC, sequence DESC, place DESC LIMIT $2', [
      userId,
      limit,
    ]);

  return {
    history,
    recent: async (userId) => {
      let found = itemsOfEvents([]);
      for (const limit of RECENT_EVENTS) {
        const events = await newest(userId, limit);
        found = itemsOfEvents(events);
        if (events.length < limit && found.seen.size < RECENT_ITEMS) return toRecentItems(found); // the user has no further events
        if (found.seen.size === RECENT_ITEMS) break;
      }
      addOlderPositives(
        found,
        (await history(userId, RECENT_ITEMS)).map(({ item_id: id, at }) => [id, at]),
      );
      return toRecentItems(found);
    },
    impressions: (userId, since) =>
      rows(`SELECT item_id, count(*) AS shown FROM events WHERE user_id = $1 AND type = 'impression' AND at >= $2 GROUP BY item_id`, [userId, since]),
    // events of a large call share sequences: a page ends with all of its last one
    positives: (since, after, limit) =>
      rows<PositiveEvent>(
        `SELECT sequence, item_id, at, recommendation_id FROM events WHERE positive AND at >= $1 AND sequence > $2 AND sequence <= $3
         ORDER BY sequence FETCH FIRST $4 ROWS WITH TIES`,
        [since, after, appliedTo(), limit],
      ),
    users: (after, limit) =>
      rows('SELECT user_id, count(*) AS events FROM events WHERE positive AND user_id > $1 GROUP BY user_id ORDER BY user_id LIMIT $2', [
        after ?? '',
        limit,
      ]),
    popularity: (now, halfLifeMs) =>
      database.pages<ItemWeight>(
        // an event after `now` gets the newest time before it by sequence
        `WITH p AS (
           SELECT item_id, CASE WHEN at <= $1 THEN at
             ELSE coalesce(max(CASE WHEN at <= $1 THEN at END) OVER (ORDER BY sequence, place ROWS UNBOUNDED PRECEDING), $1) END AS at
           FROM events WHERE positive AND sequence <= $3
         ), n AS (SELECT item_id, max(at) AS newest FROM p GROUP BY item_id)
         SELECT e.item_id, n.newest, sum(CASE WHEN n.newest - e.at > $2::double precision * ${MOST_HALVINGS} THEN 0
           ELSE power(2::double precision, (e.at - n.newest) / $2::double precision) END) AS total, ${IS_ITEM}
         FROM p e JOIN n ON n.item_id = e.item_id GROUP BY e.item_id, n.newest`,
        [now, halfLifeMs, appliedTo()],
        PAGE,
      ),
    impressionCounts: () =>
      database.pages<ItemTotal>(
        `SELECT item_id, count(*) AS total, ${IS_ITEM} FROM events e WHERE type = 'impression' AND sequence <= $1 GROUP BY item_id`,
        [appliedTo()],
        PAGE,
      ),
  };
}
