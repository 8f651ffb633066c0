import type { ItemState } from '../domain/item.js';

/** What a write is acknowledged with. */
export interface Receipt {
  item_id: string;
  state: ItemState | 'deleted';
  sequence: number;
  /** Null: it has no vector, or not yet. */
  searchable_after_ms: number | null;
  /** Until it was in effect for every later request, or durable where no more was waited for. */
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
 * Answers before the task is over: with the receipt that the task acknowledges, or else with its result.
 * @param onLateFailure what fails after the acknowledgement
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
