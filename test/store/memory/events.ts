import { countsOfEvents, type CountChange, type Erased, type EventStore, type ItemTotal, type ItemWeight } from '../../../src/store/events.js';
import { nextSequence, pageOf, type MemoryData, type Shared } from './data.js';

type StoredEvent = MemoryData['events'] extends Map<string, infer Event> ? Event : never;

const RECENT_ITEMS = 1000;
const RECENT_EVENTS = 16_000;

const isImpression = ({ type }: StoredEvent): boolean => type === 'impression';
const newestFirst = (a: StoredEvent, b: StoredEvent): number => b.at - a.at || b.sequence - a.sequence;

export function createMemoryEvents(shared: Shared): EventStore {
  const { data, userListeners, countListeners } = shared;
  const { events, items } = data;
  const all = (): StoredEvent[] => [...events.values()];
  const newestOf = (userId: string): StoredEvent[] =>
    all()
      .filter((event) => event.user_id === userId)
      .sort(newestFirst);
  const tell = (userId: string | null): void => {
    for (const listener of userListeners) listener(userId);
  };
  const count = (change: CountChange): void => {
    for (const listener of countListeners) listener(change);
  };
  const erase = (erased: readonly StoredEvent[]): Erased => {
    for (const event of erased) events.delete(event.event_id);
    if (erased.length > 0) nextSequence(shared); // an erasure is a change as well
    count({
      isErased: true,
      positives: erased.filter(({ positive }) => positive).map(({ item_id, at }) => ({ item_id, at })),
      impressions: erased.filter(isImpression).map(({ item_id: itemId }) => itemId),
    });
    return { events: erased.length, sequence: data.sequence };
  };
  const impressionCounts = async function* (): AsyncGenerator<ItemTotal[]> {
    const totals = new Map<string, number>();
    for (const event of all().filter(isImpression)) totals.set(event.item_id, (totals.get(event.item_id) ?? 0) + 1);
    yield [...totals].map(([itemId, sum]) => ({ item_id: itemId, total: sum, is_item: items.has(itemId) ? 1 : 0 }));
  };
  const popularity = async function* (now: number, halfLifeMs: number): AsyncGenerator<ItemWeight[]> {
    const times = new Map<string, number[]>();
    let latest: number | null = null;
    for (const { item_id: itemId, at } of all().filter(({ positive }) => positive)) {
      if (at <= now) latest = Math.max(latest ?? at, at);
      times.set(itemId, [...(times.get(itemId) ?? []), at <= now ? at : (latest ?? now)]);
    }
    yield [...times].map(([itemId, own]) => {
      const newest = Math.max(...own);
      const sum = own.reduce((total, at) => total + 2 ** ((at - newest) / halfLifeMs), 0);
      return { item_id: itemId, newest, total: sum, is_item: items.has(itemId) ? 1 : 0 };
    });
  };

  return {
    append: async (appended) => {
      const accepted = appended.map((event) => {
        if (events.has(event.event_id)) return false;
        events.set(event.event_id, { ...event, sequence: nextSequence(shared) });
        return true;
      });
      for (const { user_id: userId } of appended) tell(userId);
      count(countsOfEvents(appended.filter((_, n) => accepted[n])));
      return { accepted, sequence: data.sequence };
    },
    eraseUser: async (userId, limit) => {
      const erased = erase(newestOf(userId).slice(0, limit));
      tell(userId);
      return erased;
    },
    expire: async ({ from, before, upTo }, limit) => {
      const old = all().filter(({ at, sequence }) => (at >= from && at < before) || sequence <= upTo);
      const erased = erase(old.sort((a, b) => a.at - b.at).slice(0, limit));
      tell(null);
      return erased;
    },
    purgeErased: async () => true,
    history: async (userId, limit) =>
      newestOf(userId)
        .filter(({ positive }) => positive)
        .slice(0, limit)
        .map(({ item_id, type, at }) => ({ item_id, type, at })),
    recent: async (userId) => {
      const own = newestOf(userId).filter((event) => !isImpression(event));
      const seen = new Map<string, number>();
      const positives = new Set<string>();
      const note = ({ item_id: itemId, at, positive }: StoredEvent): void => {
        if (!seen.has(itemId)) seen.set(itemId, at);
        if (positive) positives.add(itemId);
      };
      for (const event of own.slice(0, RECENT_EVENTS)) {
        if (seen.size === RECENT_ITEMS && !seen.has(event.item_id)) break;
        note(event);
      }
      own
        .filter(({ positive }) => positive)
        .slice(0, RECENT_ITEMS)
        .forEach(note);
      return { positives: [...positives], seen };
    },
    impressions: async (userId, since) => {
      const shown = new Map<string, number>();
      for (const event of newestOf(userId).filter((one) => isImpression(one) && one.at >= since))
        shown.set(event.item_id, (shown.get(event.item_id) ?? 0) + 1);
      return [...shown].map(([itemId, count]) => ({ item_id: itemId, shown: count }));
    },
    positives: async (since, after, limit) =>
      all()
        .filter(({ positive, at, sequence }) => positive && at >= since && sequence > after)
        .slice(0, limit)
        .map(({ sequence, item_id, at, recommendation_id }) => ({ sequence, item_id, at, recommendation_id })),
    users: async (after, limit) => {
      const users = new Map<string, { user_id: string; events: number }>();
      for (const { user_id: userId } of all().filter(({ positive }) => positive))
        users.set(userId, { user_id: userId, events: (users.get(userId)?.events ?? 0) + 1 });
      return pageOf(users, after, limit);
    },
    popularity,
    impressionCounts,
    onUserChange: (listener) => void userListeners.add(listener),
    onCount: (listener) => void countListeners.add(listener),
  };
}
