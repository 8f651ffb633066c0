import type { Clock } from '../../clock.js';
import { isServable, type ItemFields } from '../../domain/item.js';
import { createSlotSet } from '../../index/slot-set.js';
import type { EmbeddedItem } from './embedded-item.js';
import { createSchedule } from './schedule.js';
import { createSlotFilters, type SlotFilters } from './slot-filters.js';
import type { Slots } from './slots.js';

/** What the replicas of the index have to do. */
export interface SlotChange {
  add: number[];
  remove: number[];
}
export const noChange = (): SlotChange => ({ add: [], remove: [] });

/**
 * Which items the replicas of the index hold: only what can be served now, because among items that cannot, a search would
 * have to look far for others. A hidden, expired or not yet available item keeps its slot and vector; it comes and goes as its
 * fields and the time say.
 */
export interface Membership {
  /** Bitmaps over the slots that a search can find. */
  readonly filters: SlotFilters;
  /** Items that a search can find. */
  readonly findable: number;
  /** Nodes that the graph keeps of what no search finds any more. */
  readonly deadNodes: number;
  /** Adds to the change what puts the item into the index when it can be served, and takes it out when not. */
  syncItem(item: EmbeddedItem, change: SlotChange): void;
  /** The item is gone. */
  forgetItem(itemId: string): void;
  /** The slot is nobody's any more. */
  forgetSlot(slot: number): void;
  /** Posted in the turn in which it was decided, so that the replicas hear of changes in their order. Resolves when they have followed. */
  notifyReplicas(change: SlotChange): Promise<void>;

  /** The replicas hold this slot already. */
  restoreFindable(slot: number): void;
  /** The graph has a node for each of these, live or dead. */
  restoreNodes(slots: Int32Array): void;
  /** Ends the watch over items that come and go with time. */
  close(): void;
}

/** When the item begins or ceases to be servable by the time alone; null: never. */
function nextChange({ hidden, available_from: from, expires_at: until }: ItemFields, now: number): number | null {
  if (hidden || (until !== null && until <= now)) return null;
  return from !== null && from > now ? from : until;
}

export function createMembership(
  slots: Slots,
  find: (itemId: string) => EmbeddedItem | undefined,
  update: (change: SlotChange) => Promise<void>,
  clock: Clock,
): Membership {
  /** What the replicas hold once they have done what they were told so far. */
  const findable = createSlotSet();
  /** Slots that the graph has a node for. */
  const nodes = createSlotSet();
  const findableAt = (slot: number): EmbeddedItem | undefined => (findable.has(slot) ? slots.itemAt(slot) : undefined);
  const filters = createSlotFilters({ capacity: () => slots.table.capacity, slots: () => slots.count, atSlot: findableAt });

  const syncItem = (item: EmbeddedItem, change: SlotChange): void => {
    const { slot, fields } = item;
    const now = clock.now();
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
    // replicas remove first: what one change has added and taken out again must not be added
    const lasting = [...new Set(add)].filter((slot) => findable.has(slot));
    await Promise.all([slots.grown(), update({ add: lasting, remove })]);
  };
  const due = createSchedule(clock, async (itemIds) => {
    const change = noChange();
    for (const itemId of itemIds) {
      const item = find(itemId);
      if (item !== undefined) syncItem(item, change);
    }
    await notifyReplicas(change).catch(() => undefined); // a replica that is gone is reported by its thread
  });

  return {
    filters,
    get findable() {
      return findable.size;
    },
    get deadNodes() {
      return nodes.size - findable.size;
    },
    syncItem,
    forgetItem: (itemId) => due.set(itemId, null),
    forgetSlot: (slot) => {
      findable.delete(slot);
      filters.changed(slot, undefined);
    },
    notifyReplicas,
    restoreFindable: (slot) => void findable.add(slot),
    restoreNodes: (restored) => {
      for (const slot of restored) nodes.add(slot);
    },
    close: () => due.close(),
  };
}
