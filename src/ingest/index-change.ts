import type { IndexChange } from '../retrieval/retrieval.js';
import type { ItemChange } from '../store/changes.js';
import type { FuseQueue } from './fuse-queue.js';
import { isFusable, type ItemModel } from './item-fusing.js';
import type { KnownItem } from './known-item.js';

export interface ChangeTarget {
  model: ItemModel;
  queue: Pick<FuseQueue, 'add' | 'discard' | 'updateFields'>;
  /** For an item that is to be fused; the queue calls what it returns. */
  holdForFusing: () => () => void;
}

/**
 * What a change of the feed asks of the retrieval at once; null: nothing. The queue learns of the change too, and what it fuses it puts.
 * @param known null: the item was deleted meanwhile, and the feed will say so
 */
export function indexChangeOf(change: ItemChange, known: KnownItem | null, { model, queue, holdForFusing }: ChangeTarget): IndexChange | null {
  const itemId = change.item_id;
  if (change.kind === 'delete') {
    queue.discard(itemId);
    return { kind: 'delete', itemId };
  }
  if (known === null) return null;
  const { fields, created, stored } = known;
  if (change.kind === 'fields') {
    queue.updateFields(itemId, fields, known.sequence);
    return { kind: 'fields', fields };
  }
  if (stored === null && isFusable(model, itemId, known.hasStates)) {
    queue.add(itemId, known, holdForFusing());
    return { kind: 'fields', fields }; // an item that is known keeps its old vector until the new one is fused
  }
  queue.discard(itemId);
  return { kind: 'put', fields, created, stored };
}
