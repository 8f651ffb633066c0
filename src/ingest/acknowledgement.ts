import type { ItemState } from '../domain/item.js';

/** The acknowledgement of an item write. */
export interface Receipt {
  item_id: string;
  state: ItemState | 'deleted';
  sequence: number;
  /** Milliseconds until every search found the item; null: it has no vector (yet). */
  searchable_after_ms: number | null;
  /** Milliseconds until the write was in effect for every later request, or until it was durable where the caller waited for `stored`. */
  applied_after_ms: number;
  /** The generation that serves it. */
  model: { fingerprint: string; version: string };
}

export interface Put extends Receipt {
  created: boolean;
}

/** An item as the serving generation knows it. */
export interface ItemStatus {
  state: ItemState;
  hasVector: boolean;
  model: { fingerprint: string; version: string };
}

/**
 * Resolves with the receipt that the task acknowledges, before the task ends; without an acknowledgement, with the result of the task.
 * @param onLateFailure called when the task fails after its acknowledgement
 */
export function acknowledgedEarly<Answer extends Receipt>(
  task: (acknowledge: (receipt: Answer) => void) => Promise<Answer>,
  onLateFailure: (error: unknown) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let isAcknowledged = false;
    const acknowledge = (receipt: Answer): void => {
      isAcknowledged = true;
      resolve(receipt);
    };
    task(acknowledge).then(resolve, (error: unknown) => {
      if (isAcknowledged) onLateFailure(error);
      else reject(error as Error);
    });
  });
}
