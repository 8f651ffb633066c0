import type { RecentItems } from './events.js';

/** Maximum number of seen items, and of positives, that requests use. */
export const RECENT_ITEMS = 1000;
/** Numbers of events to read, one after another until there are enough items. Nearly every user needs the first only. */
export const RECENT_EVENTS = [1000, 4000, 16_000];

/** An event that is no impression, newest first. */
export type SeenRow = [itemId: string, at: number, isPositive: boolean | number];

interface Found {
  positives: Set<string>;
  seen: Map<string, number>;
}

/** The items of events, newest first, until there are enough different ones. */
export function itemsOfEvents(rows: readonly SeenRow[]): Found {
  const seen = new Map<string, number>();
  const positives = new Set<string>();
  for (const [itemId, at, isPositive] of rows) {
    if (!seen.has(itemId)) {
      if (seen.size === RECENT_ITEMS) break;
      seen.set(itemId, at);
    }
    if (isPositive) positives.add(itemId);
  }
  return { positives, seen };
}

/** Positives that are older than the events belong to the history too. */
export function addOlderPositives({ positives, seen }: Found, rows: readonly [itemId: string, at: number][]): void {
  for (const [itemId, at] of rows) {
    positives.add(itemId);
    if (!seen.has(itemId)) seen.set(itemId, at);
  }
}

export const toRecentItems = ({ positives, seen }: Found): RecentItems => ({ positives: [...positives], seen });
