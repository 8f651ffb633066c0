import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ItemTotal } from '../events.js';
import { openDatabase } from './database.js';

/** Totals read in one turn of the event loop: about two milliseconds. */
const PAGE = 2048;

const TOTALS = (total: string, where: string): string =>
  `SELECT item_id, ${total} AS total, EXISTS (SELECT 1 FROM items i WHERE i.item_id = e.item_id) AS is_item FROM events e WHERE ${where} GROUP BY item_id`;
const POPULARITY = TOTALS('sum(pow(2.0, (at - ?) * 1.0 / ?))', 'positive = 1');
const IMPRESSIONS = TOTALS('count(*)', `type = 'impression'`);

export interface ItemTotals {
  popularity(origin: number, halfLifeMs: number): AsyncIterable<readonly ItemTotal[]>;
  impressionCounts(): AsyncIterable<readonly ItemTotal[]>;
}

/**
 * Sums over all events, of the state in which the iteration begins. Each iteration opens a connection, because all reads of a
 * connection see the state in which its open statement began. The first step computes all sums and blocks the event loop:
 * 60 ms for 330,000 positives of 50,000 items, two cores, 30 November 2026.
 * @param closing its abort ends iterations that are under way
 */
export function createItemTotals(file: string, closing: AbortSignal): ItemTotals {
  const iterate = async function* (sql: string, ...values: readonly number[]): AsyncGenerator<ItemTotal[]> {
    closing.throwIfAborted();
    const database = openDatabase(file, { readonly: true });
    try {
      let page: ItemTotal[] = [];
      for (const total of database.prepare<number[], ItemTotal>(sql).iterate(...values)) {
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
  return {
    popularity: (origin, halfLifeMs) => iterate(POPULARITY, origin, halfLifeMs),
    impressionCounts: () => iterate(IMPRESSIONS),
  };
}
