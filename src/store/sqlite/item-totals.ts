import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import type { ItemTotal, ItemWeight } from '../events.js';
import { openDatabase } from './database.js';

/** Totals read in one turn of the event loop: about two milliseconds. */
const PAGE = 2048;

const IS_ITEM = 'EXISTS (SELECT 1 FROM items i WHERE i.item_id = e.item_id) AS is_item';
const IMPRESSIONS = `SELECT item_id, count(*) AS total, ${IS_ITEM} FROM events e WHERE type = 'impression' GROUP BY item_id`;
const POPULARITY = (positives: string): string =>
  `WITH e AS (SELECT item_id, at, max(at) OVER (PARTITION BY item_id) AS newest FROM (${positives}))
   SELECT item_id, newest, sum(pow(2.0, (at - newest) * 1.0 / @halfLifeMs)) AS total, ${IS_ITEM} FROM e GROUP BY item_id`;
const POSITIVES = 'SELECT item_id, at FROM events WHERE positive = 1';
/** Events after `now` get the newest time before them. */
const CORRECTED = `SELECT item_id,
    iif(at <= @now, at, coalesce(max(iif(at <= @now, at, NULL)) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING), @now)) AS at
  FROM events WHERE positive = 1`;
const HAS_FUTURE = 'SELECT 1 FROM events WHERE at > ? LIMIT 1';

export interface ItemTotals {
  popularity(now: number, halfLifeMs: number): AsyncIterable<readonly ItemWeight[]>;
  impressionCounts(): AsyncIterable<readonly ItemTotal[]>;
}

/**
 * Sums over all events, of the state in which the iteration begins. Each iteration opens a connection, because all reads of a
 * connection see the state in which its open statement began. The first step computes all sums and blocks the event loop:
 * 60 ms for 330,000 positives of 50,000 items, two cores, 30 November 2026.
 * @param closing its abort ends iterations that are under way
 */
export function createItemTotals(file: string, closing: AbortSignal): ItemTotals {
  const iterate = async function* <Row>(
    sqlOf: (database: Database.Database) => string,
    values: Readonly<Record<string, number>>,
  ): AsyncGenerator<Row[]> {
    closing.throwIfAborted();
    const database = openDatabase(file, { readonly: true });
    try {
      let page: Row[] = [];
      for (const total of database.prepare<[Readonly<Record<string, number>>], Row>(sqlOf(database)).iterate(values)) {
        if (page.push(total) < PAGE) continue;
        yield page;
        page = [];
        await nextTurn();
        closing.throwIfAborted();
      }
      yield page;
    } finally {
      database.close();
    }
  };
  const popularityOf = (now: number) => (database: Database.Database) =>
    POPULARITY(database.prepare<[number]>(HAS_FUTURE).get(now) === undefined ? POSITIVES : CORRECTED);
  return {
    popularity: (now, halfLifeMs) => iterate<ItemWeight>(popularityOf(now), { now, halfLifeMs }),
    impressionCounts: () => iterate<ItemTotal>(() => IMPRESSIONS, {}),
  };
}
