import type { Clock } from '../../clock.js';
import type { ItemInterner } from '../../domain/item-interner.js';
import type { ItemFields, StoredVector } from '../../domain/item.js';
import type { VectorChunk } from '../../index/vector-table.js';

import type { IndexChange } from '../retrieval.js';
import type { EmbeddedItem } from './embedded-item.js';
import { createMembership, noChange, type Membership, type SlotChange } from './membership.js';
import { createSlots, type Slots } from './slots.js';
import { createTotals, type Totals } from './totals.js';

/** The replicas of the index, one in each recommender thread. */
export interface Replicas {
  grow(chunk: VectorChunk): Promise<void>;
  update(change: SlotChange): Promise<void>;
}

/** The items of one generation by item index, the slots of their vectors, and their membership in the replicas of the index. */
export interface ItemTable {
  readonly size: number;
  get(index: number): EmbeddedItem | undefined;
  find(itemId: string): EmbeddedItem | undefined;
  items(): Iterable<EmbeddedItem>;
  readonly slots: Slots;
  readonly membership: Membership;
  readonly totals: Totals;
  /** See Retrieval.apply. */
  apply(changes: readonly IndexChange[]): Promise<{ unknown: string[] }>;
  /** Adds an item whose vector is already in its slot. The replicas are not notified. */
  restoreItem(item: EmbeddedItem): void;
  close(): void;
}

export interface ItemTableSetup {
  dim: number;
  /** Whether the similarity is cosine. */
  normalised: boolean;
  takesFeatures: boolean;
  replicas: Replicas;
  interner: ItemInterner;
  clock: Clock;
}

export function createItemTable({ dim, normalised, takesFeatures, replicas, interner, clock }: ItemTableSetup): ItemTable {
  const byIndex: (EmbeddedItem | undefined)[] = [];
  let size = 0;
  const find = (itemId: string): EmbeddedItem | undefined => byIndex[interner.find(itemId) ?? -1];
  const slots = createSlots(dim, normalised, replicas.grow);
  const membership = createMembership(slots, find, replicas.update, clock);
  const totals = createTotals(takesFeatures);

  const keep = (item: EmbeddedItem): void => {
    while (byIndex.length <= item.index) byIndex.push(undefined); // V8 is slower on arrays with holes
    if (byIndex[item.index] === undefined) size++;
    byIndex[item.index] = item;
    slots.setSlot(item.index, item.slot);
    totals.add(item);
  };
  /** Releases a slot. It can be reused when the replicas have confirmed the change, because no search uses it any more. */
  const leave = (slot: number, left: number[]): void => {
    slots.releaseSlot(slot);
    membership.forgetSlot(slot);
    left.push(slot);
  };

  const put = (fields: ItemFields, created: number, stored: StoredVector | null, change: SlotChange, left: number[]): void => {
    const old = find(fields.item_id);
    const slot = stored === null ? null : slots.allocate();
    const index = old?.index ?? interner.indexOf(fields.item_id);
    const item: EmbeddedItem = { fields, created, index, idShare: stored?.id_share ?? null, slot };
    if (stored !== null && slot !== null) slots.write(slot, stored.vector, item);
    if (old !== undefined) totals.remove(old);
    if (old?.slot != null) leave(old.slot, left);
    keep(item);
    membership.syncItem(item, change);
  };
  const updateFields = (old: EmbeddedItem, fields: ItemFields, change: SlotChange): void => {
    const item: EmbeddedItem = { ...old, fields };
    totals.remove(old);
    if (item.slot !== null) slots.replaceItem(item.slot, item);
    keep(item);
    membership.syncItem(item, change);
  };
  const remove = (item: EmbeddedItem, left: number[]): void => {
    byIndex[item.index] = undefined;
    size--;
    totals.remove(item);
    membership.forgetItem(item.fields.item_id);
    slots.setSlot(item.index, null);
    if (item.slot !== null) leave(item.slot, left);
  };

  return {
    get size() {
      return size;
    },
    get: (index) => byIndex[index],
    find,
    *items() {
      for (const item of byIndex) if (item !== undefined) yield item;
    },
    slots,
    membership,
    totals,
    apply: async (changes) => {
      const change = noChange();
      const left: number[] = [];
      const unknown: string[] = [];
      for (const next of changes) {
        if (next.kind === 'put') put(next.fields, next.created, next.stored, change, left);
        else {
          const item = find(next.kind === 'fields' ? next.fields.item_id : next.itemId);
          if (item !== undefined && next.kind === 'fields') updateFields(item, next.fields, change);
          else if (item !== undefined) remove(item, left);
          else if (next.kind === 'fields') unknown.push(next.fields.item_id);
        }
      }
      change.remove.push(...left);
      await membership.notifyReplicas(change);
      slots.reuse(left);
      return { unknown };
    },
    restoreItem: (item) => {
      if (item.slot !== null) slots.restore(item.slot, item);
      keep(item);
    },
    close: () => membership.close(),
  };
}
