import { setImmediate as nextTurn } from 'node:timers/promises';
import { availabilityOf, type Availability, type ItemState } from '../domain/item.js';
import type { ItemStore, StoredItem } from '../store/items.js';
import type { ItemStatus } from './acknowledgement.js';

/** A stored item with its state in the serving generation and its availability now. */
export interface ReadItem {
  item: StoredItem;
  state: ItemState;
  availability: Availability;
  hasHiddenStates: boolean;
}

export interface ItemReadingSetup {
  items: Pick<ItemStore, 'get' | 'list' | 'withHiddenStates'>;
  /** One status for each id, in the order of the ids. */
  describe: (itemIds: readonly string[]) => Promise<readonly ItemStatus[]>;
}

export interface ItemQuery {
  /** Items with a greater item_id; null: from the first. */
  after: string | null;
  limit: number;
  /** Undefined: any. */
  state: ItemState | undefined;
  availability: Availability | undefined;
}

export interface ItemPage {
  items: ReadItem[];
  /** `after` of the next page; null: this is the last page. */
  next: string | null;
}

export async function readItem(itemId: string, setup: ItemReadingSetup): Promise<ReadItem | null> {
  const item = await setup.items.get(itemId);
  if (item === null) return null;
  const [read] = await readStored([item], setup);
  return read ?? null;
}

/** A page of matching items by item_id. Rare matches take many pages of the store; other requests run between two of them. */
export async function listItems({ after, limit, state, availability }: ItemQuery, setup: ItemReadingSetup): Promise<ItemPage> {
  const isWanted = (read: ReadItem): boolean =>
    (state === undefined || state === read.state) && (availability === undefined || availability === read.availability);
  const found: ReadItem[] = [];
  for (let cursor = after; ;) {
    const page = await setup.items.list(cursor, limit);
    for (const read of await readStored(page, setup)) {
      if (isWanted(read)) found.push(read);
      if (found.length === limit) return { items: found, next: read.item.item_id };
    }
    if (page.length < limit) return { items: found, next: null };
    cursor = page.at(-1)?.item_id ?? null;
    await nextTurn();
  }
}

async function readStored(page: readonly StoredItem[], { items, describe }: ItemReadingSetup): Promise<ReadItem[]> {
  const ids = page.map(({ item_id: itemId }) => itemId);
  const [statuses, withStates] = await Promise.all([describe(ids), items.withHiddenStates(ids)]);
  const now = Date.now();
  return page.map((item, n) => ({
    item,
    state: statuses[n]?.state ?? 'stored',
    availability: availabilityOf(item, now),
    hasHiddenStates: withStates.has(item.item_id),
  }));
}
