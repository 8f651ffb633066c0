import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangeFeed, ItemChange } from '../changes.js';
import { createWatermark } from '../watermark.js';
import type { Database } from './database.js';
import {
  readChangedItems,
  readItemChanges,
  readNewest,
  readPage,
  type ChangeRow,
  type EventRow,
  type FeedPage,
  type ItemChangeRow,
} from './feed-reads.js';
import { adoptOrigin } from './origin.js';

/** Time between two looks at the feed when nothing wakes it, ms. */
const IDLE_MS = 500;
/** Time between two looks while older transactions run, ms; each look doubles it. */
const FIRST_LOOK_MS = 1;
const LAST_LOOK_MS = 64;

export interface FeedListeners {
  /** Events that are visible now, in the order of their sequences, each once. */
  onEvents(events: readonly EventRow[]): void;
  /** Changes, in the order of their sequences, each once. @param before sequence up to which events were told before */
  onChanges(changes: readonly ChangeRow[], before: number): Promise<void>;
  /** All of a page with changes is told. */
  onSettled(): void;
  /** The feed could not be read, or can be read again (null). */
  onTrouble(error: Error | null): void;
  /** Another server of PostgreSQL has taken over, and lacks what was read before. */
  onOtherOrigin(): void;
}

export interface PostgresFeed {
  feed: ChangeFeed;
  /** Every settled change up to this one was told to the listeners. */
  readonly applied: number;
  /** Time for which the oldest running transaction has held the feed up, s; 0: nothing does. */
  heldSeconds(): number;
  /** Looks for changes; resolves when it has. */
  look(): Promise<void>;
  /** Looks until this change is applied, or the time is over. @returns whether it is applied */
  settled(sequence: number, timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
}

const isOfItem = ({ kind }: ChangeRow): boolean => kind === 'put' || kind === 'fields' || kind === 'delete';

/**
 * Follows the changes of all servers. A change counts when no older one can come any more: the ids of transactions are handed out in
 * order, and those below the oldest running one have ended.
 */
export async function openChangeFeed(database: Database, listeners: FeedListeners): Promise<PostgresFeed> {
  const begun = (await readNewest(database)) ?? (await adopted(database));
  const applied = createWatermark(begun.sequence);
  let newest = begun.any;
  let newestOfItems = begun.items;
  let isClosed = false;
  let heldSince: number | null = null;
  let { origin } = begun;
  const lately: Lately = { sequences: [], eventIds: [] };
  const itemListeners = new Set<() => void>();

  const apply = async (): Promise<boolean> => {
    const page = await readPage(database, applied.at);
    if (page === null) {
      await adoptOrigin(database);
      return false;
    }
    if (page.origin !== origin) {
      if (!(await hasAll(database, lately))) listeners.onOtherOrigin();
      origin = page.origin;
    }
    if (!page.isHeld || page.sequence > applied.at) heldSince = null;
    else heldSince ??= performance.now();
    if (page.sequence <= applied.at) return true;
    const items = page.changes.filter(isOfItem);
    if (page.events.length > 0) listeners.onEvents(page.events);
    if (items.length < page.changes.length)
      await listeners.onChanges(
        page.changes.filter((row) => !isOfItem(row)),
        applied.at,
      );
    remember(lately, page);
    newest = Math.max(newest, page.changes.at(-1)?.sequence ?? 0, page.events.at(-1)?.sequence ?? 0);
    newestOfItems = items.at(-1)?.sequence ?? newestOfItems;
    applied.advance(page.sequence);
    if (items.length > 0) for (const listener of [...itemListeners]) listener();
    if (page.changes.length > 0) listeners.onSettled();
    return page.isLast;
  };
  const lookNow = async (): Promise<void> => {
    try {
      while (!isClosed && !(await apply()));
      listeners.onTrouble(null);
    } catch (error) {
      if (!isClosed) listeners.onTrouble(error as Error);
    }
  };
  let looking: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  const look = (): Promise<void> => {
    if (looking === null) {
      looking = lookNow().finally(() => (looking = null));
      return looking;
    }
    // what is asked for now may have come too late for the look that is under way
    next ??= looking.then(() => {
      next = null;
      return look();
    });
    return next;
  };
  const timer = setInterval(() => void look(), IDLE_MS);
  timer.unref();

  const toChange = ({ sequence, item_id: itemId, kind, exists }: ItemChangeRow): ItemChange => ({
    sequence,
    item_id: itemId,
    kind: !exists ? 'delete' : kind === 'delete' ? 'put' : kind,
    written: null,
  });
  return {
    feed: {
      get sequence() {
        return newest;
      },
      get itemSequence() {
        return newestOfItems;
      },
      reached: (sequence, timeoutMs) => applied.reached(sequence, timeoutMs),
      since: async (sequence, limit) => {
        const upTo = applied.at;
        const rows = (await readItemChanges(database, sequence, upTo, limit)) ?? (await readChangedItems(database, sequence, upTo, limit));
        return mergeByItem(rows.map(toChange));
      },
      onItemChange: (listener) => {
        itemListeners.add(listener);
        return () => void itemListeners.delete(listener);
      },
    },
    get applied() {
      return applied.at;
    },
    heldSeconds: () => (heldSince === null ? 0 : (performance.now() - heldSince) / 1000),
    look,
    settled: async (sequence, timeoutMs) => {
      const started = performance.now();
      for (let pause = FIRST_LOOK_MS; ; pause = Math.min(2 * pause, LAST_LOOK_MS)) {
        await look();
        if (applied.at >= sequence) return true;
        if (isClosed || performance.now() - started > timeoutMs) return false;
        await sleep(pause);
      }
    },
    close: async () => {
      isClosed = true;
      clearInterval(timer);
      await looking;
    },
  };
}

/** What was read last. A standby that takes over lacks the newest commits, if any. */
interface Lately {
  sequences: number[];
  eventIds: string[];
}

const LATELY = 1000;

function remember(lately: Lately, { changes, events }: FeedPage): void {
  lately.sequences = [...lately.sequences, ...changes.map(({ sequence }) => sequence)].slice(-LATELY);
  lately.eventIds = [...lately.eventIds, ...events.map(({ event_id: id }) => id)].slice(-LATELY);
}

/** False also when something of it was erased meanwhile. */
async function hasAll({ rows }: Pick<Database, 'rows'>, { sequences, eventIds }: Lately): Promise<boolean> {
  const [found] = await rows<{ changes: number; events: number }>(
    `SELECT (SELECT count(DISTINCT sequence) FROM changes WHERE sequence = ANY ($1)) AS changes,
       (SELECT count(*) FROM event_ids WHERE event_id = ANY ($2)) AS events`,
    [sequences, eventIds],
  );
  return found?.changes === new Set(sequences).size && found.events === eventIds.length;
}

async function adopted(database: Database): Promise<NonNullable<Awaited<ReturnType<typeof readNewest>>>> {
  await adoptOrigin(database);
  const begun = await readNewest(database);
  if (begun === null) throw new Error('the transaction ids of the database belong to no known server');
  return begun;
}

/** The newest change of each item; a put before a change of fields makes it a put. */
function mergeByItem(changes: readonly ItemChange[]): ItemChange[] {
  const newest = new Map<string, ItemChange>();
  for (const change of changes) {
    const older = newest.get(change.item_id);
    newest.delete(change.item_id); // a map keeps the order of insertion
    newest.set(change.item_id, change.kind === 'fields' && older?.kind === 'put' ? { ...change, kind: 'put' } : change);
  }
  return [...newest.values()];
}
