import type { ChangeKind } from './changes-table.js';
import type { Database } from './database.js';

/** Rows of the table of changes, and events, of one page at most. */
const PAGE = 5000;

/** Where a reader of the feed stands: every change up to `sequence` is settled and was read. */
export interface Horizon {
  sequence: number;
  /** Names the server that hands out transaction ids. */
  origin: string;
}

export interface ChangeRow {
  sequence: number;
  kind: ChangeKind;
  key: string;
  detail: string | null;
}

export interface EventRow {
  sequence: number;
  event_id: string;
  user_id: string;
  item_id: string;
  type: string;
  at: number;
  positive: boolean;
}

/** What has settled since the last page. */
export interface FeedPage extends Horizon {
  /** Whether younger transactions than the oldest running one have begun. */
  isHeld: boolean;
  changes: ChangeRow[];
  events: EventRow[];
  /** False: more has settled than a page holds. */
  isLast: boolean;
}

interface RawRow {
  source: 'horizon' | 'change' | 'event';
  sequence: number | null;
  kind: string | null;
  key: string | null;
  detail: string | null;
  user_id: string | null;
  at: number | null;
  positive: boolean | null;
}

// One statement, so that horizon and rows are of one snapshot. The horizon is a value that is known before the tables are read: their
// indexes by sequence serve. Rows of a large transaction share sequences: a page ends with all rows of its last one.
const SETTLED = `sequence > $1 AND sequence < (SELECT sequence FROM horizon) ORDER BY sequence FETCH FIRST ${PAGE} ROWS WITH TIES`;
const POLL = `WITH horizon AS MATERIALIZED (SELECT change_horizon() AS sequence,
    (SELECT system_identifier || '/' || timeline || '/' || xid_offset FROM sequence_origin) AS origin)
  SELECT 'horizon' AS source, sequence, origin AS kind, NULL AS key, NULL AS detail, NULL AS user_id, NULL::bigint AS at,
    pg_snapshot_xmax(pg_current_snapshot()) > pg_snapshot_xmin(pg_current_snapshot()) AS positive
  FROM horizon
  UNION ALL (SELECT 'change', sequence, kind, key, detail, NULL, NULL, NULL FROM changes WHERE ${SETTLED})
  UNION ALL (SELECT 'event', sequence, type, item_id, event_id, user_id, at, positive FROM events WHERE ${SETTLED})`;

/** @returns what has settled after this sequence; null: the transaction ids are those of a server that was not adopted */
export async function readPage({ rows }: Pick<Database, 'rows'>, after: number): Promise<FeedPage | null> {
  const found = await rows<RawRow>(POLL, [after]);
  const horizon = found.find(({ source }) => source === 'horizon');
  if (horizon === undefined || horizon.sequence === null) return null;
  const changes = found.flatMap((row): ChangeRow[] =>
    row.source === 'change' ? [{ sequence: row.sequence ?? 0, kind: row.kind as ChangeKind, key: row.key ?? '', detail: row.detail }] : [],
  );
  const events = found.flatMap((row): EventRow[] =>
    row.source !== 'event'
      ? []
      : [
          {
            sequence: row.sequence ?? 0,
            event_id: row.detail ?? '',
            user_id: row.user_id ?? '',
            item_id: row.key ?? '',
            type: row.kind ?? '',
            at: row.at ?? 0,
            positive: row.positive === true,
          },
        ],
  );
  const ends = [changes, events].flatMap((list) => (list.length < PAGE ? [] : (list.at(-1)?.sequence ?? [])));
  const sequence = Math.min(horizon.sequence - 1, ...ends);
  const isWithin = (row: { sequence: number }): boolean => row.sequence <= sequence;
  return {
    sequence,
    isHeld: horizon.positive === true,
    origin: horizon.kind ?? '',
    changes: changes.filter(isWithin),
    events: events.filter(isWithin),
    isLast: ends.length === 0,
  };
}

export interface NewestSequences extends Horizon {
  /** The newest change of anything, and of an item; 0: there was none. */
  any: number;
  items: number;
}

/** Where a reader begins that reads the tables afterwards. Null as `readPage`. */
export async function readNewest({ rows }: Pick<Database, 'rows'>): Promise<NewestSequences | null> {
  const below = 'WHERE sequence < (SELECT sequence FROM horizon)';
  const [found] = await rows<{ sequence: number | null; origin: string; other: number | null; events: number | null; items: number | null }>(
    `WITH horizon AS MATERIALIZED (SELECT change_horizon() AS sequence, (SELECT system_identifier || '/' || timeline || '/' || xid_offset FROM sequence_origin) AS origin)
     SELECT h.sequence, h.origin, (SELECT max(sequence) FROM changes ${below}) AS other, (SELECT max(sequence) FROM events ${below}) AS events,
       greatest((SELECT max(sequence) FROM items ${below}), (SELECT max(sequence) FROM tombstones ${below})) AS items FROM horizon h`,
  );
  if (found === undefined || found.sequence === null) return null;
  const items = found.items ?? 0;
  return { sequence: found.sequence - 1, origin: found.origin, any: Math.max(items, found.other ?? 0, found.events ?? 0), items };
}

/** A change of an item and whether the item is there now: with commits out of order the last change by sequence may not be the last one made. */
export interface ItemChangeRow {
  sequence: number;
  kind: 'put' | 'fields' | 'delete';
  item_id: string;
  exists: boolean;
}

/**
 * Changes of items after a sequence, up to another one, in their order.
 * @returns null when they are no longer in the table of changes
 */
export async function readItemChanges({ rows }: Pick<Database, 'rows'>, after: number, upTo: number, limit: number): Promise<ItemChangeRow[] | null> {
  const found = await rows<ItemChangeRow & { trimmed: number }>(
    `SELECT o.trimmed, c.sequence, c.kind, c.key AS item_id, i.item_id IS NOT NULL AS exists
     FROM sequence_origin o LEFT JOIN LATERAL (
       SELECT sequence, kind, key FROM changes WHERE sequence > $1 AND sequence <= $2 AND kind IN ('put', 'fields', 'delete') ORDER BY sequence LIMIT $3
     ) c ON true LEFT JOIN items i ON i.item_id = c.key ORDER BY c.sequence`,
    [after, upTo, limit],
  );
  if ((found[0]?.trimmed ?? 0) > after) return null;
  return found.filter(({ sequence }) => (sequence as number | null) !== null); // of the outer join
}

/** As `readItemChanges`, from the tables of items: the newest change of each, without its kind. */
export const readChangedItems = ({ rows }: Pick<Database, 'rows'>, after: number, upTo: number, limit: number): Promise<ItemChangeRow[]> =>
  rows<ItemChangeRow>(
    `SELECT sequence, 'put' AS kind, item_id, true AS exists FROM items WHERE sequence > $1 AND sequence <= $2
     UNION ALL SELECT sequence, 'delete', item_id, false FROM tombstones WHERE sequence > $1 AND sequence <= $2
     ORDER BY 1 FETCH FIRST $3 ROWS WITH TIES`,
    [after, upTo, limit],
  );
