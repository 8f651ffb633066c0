import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../clock.js';
import { isServable, type ItemFields } from '../../domain/item.js';
import { createSlotSet } from '../../index/slot-set.js';
import type { EmbeddedItem } from './embedded-item.js';
import { createSchedule } from './schedule.js';
import { createSlotFilters, type SlotFilters } from './slot-filters.js';
import type { Slots } from './slots.js';

/** Slots that the replicas of the index must add and remove. */
export interface SlotChange {
  add: number[];
  remove: number[];
}
export const noChange = (): SlotChange => ({ add: [], remove: [] });

/**
 * Which items the replicas of the index hold. They hold servable items only, because a search among many others would have to go far.
 * A hidden, expired or scheduled item keeps its slot and vector, and is added or removed when its fields or the time change that.
 */
export interface Membership {
  /** Bitmaps over the slots that a search can find. */
  readonly filters: SlotFilters;
  /** Number of items that a search can find. */
  readonly findable: number;
  /** Number of graph nodes whose slots no search may return. */
  readonly deadNodes: number;
  /** Adds to the change what puts a servable item into the index, or removes another one. */
  syncItem(item: EmbeddedItem, change: SlotChange): void;
  /** Cancels the timer of a deleted item. */
  forgetItem(itemId: string): void;
  /** The slot has no item any more. */
  forgetSlot(slot: number): void;
  /** Posts the change to the replicas. Call it in the turn of the decision, so that changes arrive in order. Resolves when all have applied it. */
  notifyReplicas(change: SlotChange): Promise<void>;

  /** Marks a slot that the replicas hold already. */
  restoreFindable(slot: number): void;
  /** Marks slots that have a node in the graph, live or dead. */
  restoreNodes(slots: Int32Array): void;
  /** Stops the timers of scheduled and expiring items. */
  close(): void;
}

/** Next time (milliseconds since 1970) at which the item becomes or ceases to be servable without a write; null: never. */
function nextChange({ hidden, available_from: from, expires_at: until }: ItemFields, now: number): number | null {
  if (hidden || (until !== null && until <= now)) return null;
  return from !== null && from > now ? from : until;
}

/** Items decided on in one turn of the event loop. */
const SLICE = 1024;

export function createMembership(
  slots: Slots,
  find: (itemId: string) => EmbeddedItem | undefined,
  update: (change: SlotChange) => Promise<void>,
  clock: Clock,
): Membership {
  /** Slots that the replicas hold once they have applied all posted changes. */
  const findable = createSlotSet();
  /** Slots with a node in the graph. */
  const nodes = createSlotSet();
  const findableAt = (slot: number): EmbeddedItem | undefined => (findable.has(slot) ? slots.itemAt(slot) : undefined);
  const filters = createSlotFilters({ capacity: () => slots.table.capacity, slots: () => slots.count, atSlot: findableAt });

  const syncItem = (item: EmbeddedItem, change: SlotChange): void => {
    const { slot, fields } = item;
    const now = clock.now();
    if (fields.available_from === null && fields.expires_at === null) timed.delete(fields.item_id);
    else timed.add(fields.item_id);
    due.set(fields.item_id, slot === null ? null : nextChange(fields, now));
    if (slot === null) return;
    if (isServable(item, now)) {
      nodes.add(slot);
      if (findable.add(slot)) change.add.push(slot);
    } else if (findable.delete(slot)) change.remove.push(slot);
    filters.changed(slot, findableAt(slot));
  };
  const notifyReplicas = async ({ add, remove }: SlotChange): Promise<void> => {
    if (add.length + remove.length === 0) return;
    // replicas remove before they add: a slot that this change added and removed again must not be added
    const lasting = [...new Set(add)].filter((slot) => findable.has(slot));
    await Promise.all([slots.grown(), update({ add: lasting, remove })]);
  };
  /** Ids of items with a time. */
  const timed = new Set<string>();
  const syncAll = async (itemIds: readonly string[]): Promise<void> => {
    const change = noChange();
    for (const itemId of itemIds) {
      const item = find(itemId);
      if (item !== undefined) syncItem(item, change);
    }
    await notifyReplicas(change).catch(() => undefined); // the thread of a failed replica reports it
  };
  const due = createSchedule(clock, syncAll);
  /** What had expired may be servable again, and no timer waits for it. */
  const stopWatching = clock.onSetBack(() => void syncTimed());
  const syncTimed = async (): Promise<void> => {
    const itemIds = [...timed];
    for (let first = 0; first < itemIds.length; first += SLICE) {
      await syncAll(itemIds.slice(first, first + SLICE));
      await nextTurn();
    }
  };

  return {
    filters,
    get findable() {
      return findable.size;
    },
    get deadNodes() {
      return nodes.size - findable.size;
    },
    syncItem,
    forgetItem: (itemId) => {
      timed.delete(itemId);
      due.set(itemId, null);
    },
    forgetSlot: (slot) => {
      findable.delete(slot);
      filters.changed(slot, undefined);
    },
    notifyReplicas,
    restoreFindable: (slot) => void findable.add(slot),
    restoreNodes: (restored) => {
      for (const slot of restored) nodes.add(slot);
    },
    close: () => {
      stopWatching();
      due.close();
    },
  };
}
