import type { Logger } from 'pino';
import type { HiddenStates, ItemFields } from '../domain/item.js';
import { overloaded } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { Popularity } from '../signals/popularity.js';
import type { ItemStore, StoredItem } from '../store/items.js';
import { acknowledgedEarly, type ItemStatus, type Put, type Receipt } from './acknowledgement.js';
import type { IndexLevel, WrittenChange } from './indexer.js';
import type { FusedVector } from './item-fusing.js';
import { createItemQueue } from './item-queue.js';
import { requireItem, requirePrecondition, type Precondition } from './preconditions.js';

export interface WriteOptions {
  precondition?: Precondition | undefined;
  /** `stored`: resolve when the item is durable and its fields are in effect; fusing follows. */
  wait?: 'searchable' | 'stored' | undefined;
  /** What to do when too many writes are under way. `wait` is for callers with a bounded number of writes. */
  whenFull?: 'refuse' | 'wait' | undefined;
}

export interface ItemPatch {
  fields: (stored: StoredItem) => ItemFields;
  /** Absent: kept as they are. */
  hiddenStates?: HiddenStates | null;
}

export interface Ingest {
  /**
   * Fuses, stores and indexes; resolves when the item is durable and, where it has a vector, found by every search.
   * @throws ReelfuseError 412 `precondition_failed`, 503 `overloaded`
   */
  put(fields: ItemFields, hiddenStates: HiddenStates | null, options?: WriteOptions): Promise<Put>;
  /** @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed`, 503 `overloaded` */
  patch(itemId: string, change: ItemPatch, options?: WriteOptions): Promise<Receipt>;
  /**
   * Deletes the item. Resolves when no later request can get it.
   * @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed`, 503 `overloaded`
   */
  remove(itemId: string, precondition?: Precondition): Promise<Receipt>;
  /** Resolves when every accepted write is searchable. */
  settle(): Promise<void>;
}

export interface IngestSetup {
  items: Pick<ItemStore, 'put' | 'updateFields' | 'delete' | 'get'>;
  /** Vectors of the loaded models, [d] each. Rejects when the serving model fails. */
  fuse: (itemId: string, states: HiddenStates | null) => Promise<readonly FusedVector[]>;
  /** Resolves when the change is at this level, for every later request. */
  indexed: (change: WrittenChange, level: IndexLevel) => Promise<void>;
  /** Resolves when no server answers without this change any more. */
  inEffect: (sequence: number) => Promise<void>;
  /** In the order asked for. */
  describe: (itemIds: readonly string[]) => Promise<readonly ItemStatus[]>;
  popularity: Pick<Popularity, 'markDeleted'>;
  /** Maximum number of writes under way. They wait for the item tower, and then for the disk. */
  maxQueue: number;
  metrics: Pick<Metrics, 'rejected' | 'searchableSeconds'>;
  log: Pick<Logger, 'error'>;
}

/** Whether the item is not to be served now, or at some time. */
const withdraws = ({ hidden, expires_at: expires, available_from: available }: ItemFields): boolean =>
  hidden || expires !== null || available !== null;

type Acknowledge<Answer> = (receipt: Answer) => void;

/** Writes items: fuses, stores and waits for the index. */
export function createIngest({ items, fuse, indexed, inEffect, describe, popularity, maxQueue, metrics, log }: IngestSetup): Ingest {
  const queue = createItemQueue(maxQueue, () => {
    metrics.rejected.inc({ reason: 'item_queue_full' });
    return overloaded('item');
  });

  const receiptOf = async (itemId: string, sequence: number, received: number): Promise<Receipt> => {
    const elapsed = performance.now() - received;
    const [status] = await describe([itemId]);
    if (status === undefined) throw new Error(`the serving generation has no status of item ${itemId}`);
    const { state, hasVector, model } = status;
    return { item_id: itemId, state, sequence, searchable_after_ms: hasVector ? elapsed : null, applied_after_ms: elapsed, model };
  };
  const observe = ({ searchable_after_ms: elapsed }: Receipt): void => {
    if (elapsed !== null) metrics.searchableSeconds.observe(elapsed / 1000);
  };

  /** Fuses first, then stores item, hidden states and vectors in one transaction. */
  const putFused = async (fields: ItemFields, hiddenStates: HiddenStates | null, received: number): Promise<Put> => {
    const itemId = fields.item_id;
    const vectors = await fuse(itemId, hiddenStates);
    const { sequence, created } = await items.put({ item: fields, hiddenStates, vectors });
    await indexed({ itemId, sequence }, 'searchable');
    if (withdraws(fields)) await inEffect(sequence);
    const receipt = await receiptOf(itemId, sequence, received);
    observe(receipt);
    return { ...receipt, created };
  };

  /** Stores first; the indexers fuse the item afterwards. The write is under way until they have. */
  const putStored = async (fields: ItemFields, hiddenStates: HiddenStates | null, received: number, acknowledge: Acknowledge<Put>): Promise<Put> => {
    const itemId = fields.item_id;
    const { sequence, created } = await items.put({ item: fields, hiddenStates, vectors: [] });
    await indexed({ itemId, sequence }, 'applied'); // an item that is hidden from now on must not be served by its old fields
    if (withdraws(fields)) await inEffect(sequence);
    const early = await receiptOf(itemId, sequence, received);
    acknowledge({ ...early, created, state: fields.hidden ? 'hidden' : 'stored', searchable_after_ms: null });
    await indexed({ itemId, sequence }, 'searchable');
    const receipt = await receiptOf(itemId, sequence, received);
    observe(receipt);
    return { ...receipt, created };
  };

  const updateFields = async (fields: ItemFields, received: number, acknowledge: Acknowledge<Receipt> | null): Promise<Receipt> => {
    const itemId = fields.item_id;
    const { sequence } = requireItem(itemId, await items.updateFields(fields));
    await indexed({ itemId, sequence }, 'applied');
    if (withdraws(fields)) await inEffect(sequence);
    acknowledge?.(await receiptOf(itemId, sequence, received));
    await indexed({ itemId, sequence }, 'searchable');
    return receiptOf(itemId, sequence, received);
  };

  const write = (fields: ItemFields, states: HiddenStates | null, received: number, acknowledge: Acknowledge<Put> | null): Promise<Put> =>
    acknowledge === null ? putFused(fields, states, received) : putStored(fields, states, received, acknowledge);

  /** With `wait: stored` a failure after the acknowledgement is logged; the next start indexes the item. */
  const run = <Answer extends Receipt>(
    itemId: string,
    { wait, whenFull = 'refuse' }: WriteOptions,
    task: (acknowledge: Acknowledge<Answer> | null) => Promise<Answer>,
  ): Promise<Answer> => {
    if (wait !== 'stored') return queue.serializeByItem(itemId, whenFull, () => task(null));
    return acknowledgedEarly(
      (acknowledge) => queue.serializeByItem(itemId, whenFull, () => task(acknowledge)),
      (error) => log.error({ err: error }, 'a stored item could not be indexed'),
    );
  };

  return {
    put: (fields, states, options = {}) => {
      const received = performance.now();
      const itemId = fields.item_id;
      const { precondition } = options;
      return run<Put>(itemId, options, async (acknowledge) => {
        // no other write can change the item between this check and the write
        if (precondition !== undefined) requirePrecondition(itemId, (await items.get(itemId))?.sequence ?? null, precondition);
        return write(fields, states, received, acknowledge);
      });
    },
    patch: (itemId, { fields: change, hiddenStates }, options = {}) => {
      const received = performance.now();
      return run<Receipt>(itemId, options, async (acknowledge) => {
        const stored = requireItem(itemId, await items.get(itemId));
        requirePrecondition(itemId, stored.sequence, options.precondition);
        const fields = change(stored);
        return hiddenStates === undefined ? updateFields(fields, received, acknowledge) : write(fields, hiddenStates, received, acknowledge);
      });
    },
    remove: (itemId, precondition) => {
      const received = performance.now();
      return queue.serializeByItem(itemId, 'refuse', async () => {
        if (precondition !== undefined) requirePrecondition(itemId, requireItem(itemId, await items.get(itemId)).sequence, precondition);
        const { sequence } = requireItem(itemId, await items.delete(itemId));
        await indexed({ itemId, sequence }, 'searchable');
        await inEffect(sequence);
        popularity.markDeleted(itemId);
        return { ...(await receiptOf(itemId, sequence, received)), state: 'deleted' as const };
      });
    },
    settle: queue.settle,
  };
}
