import type { Item } from '../domain/item.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import type { ChangeFeed } from '../store/changes.js';
import type { EventStore, HistoryEntry } from '../store/events.js';

export interface UserHistory {
  /** Newest first. */
  entries: { entry: HistoryEntry; item: Item | undefined }[];
  sequence: number;
}

export interface UserHistorySetup {
  events: Pick<EventStore, 'history'>;
  changes: Pick<ChangeFeed, 'sequence'>;
  /** Of the serving generation. */
  find: Retrieval['find'];
}

/** The positive events of a user. @param withItems whether their items are asked for */
export async function readHistory(userId: string, limit: number, withItems: boolean, setup: UserHistorySetup): Promise<UserHistory> {
  const history = await setup.events.history(userId, limit);
  const items = withItems ? await setup.find(history.map(({ item_id: itemId }) => itemId)) : [];
  return { entries: history.map((entry, n) => ({ entry, item: items[n] })), sequence: setup.changes.sequence };
}
