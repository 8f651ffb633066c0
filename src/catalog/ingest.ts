import type { Logger } from 'pino';
import { notFound, preconditionFailed } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { HiddenStates, ItemFields, ItemWritten, Store, StoredItem } from '../store/store.js';
import { stateOf, type ItemState } from './catalogue.js';
import { decodeHiddenStates, isFusable, type Generation } from './generation.js';

export interface Receipt {
  item_id: string;
  created: boolean;
  state: ItemState;
  sequence: number;
  searchable_after_ms: number | null;
  fingerprint: string;
}

/** `exists`, `absent`, or the sequence of the version that the caller has seen. */
export type Precondition = 'exists' | 'absent' | number;

export interface WriteOptions {
  precondition?: Precondition | undefined;
  /** `stored`: resolve when the item is durable; fusing and publishing follow on their own. */
  wait?: 'searchable' | 'stored' | undefined;
}

export interface ItemChange {
  fields: (stored: StoredItem) => ItemFields;
  /** Absent: kept as they are. */
  hiddenStates?: HiddenStates | null;
}

export interface Ingest {
  /**
   * Fuses, stores and publishes; resolves when the item is durable and, where it has a vector, in every index replica.
   * @throws ReelfuseError 412 `precondition_failed`
   */
  put(fields: ItemFields, hiddenStates: HiddenStates | null, options?: WriteOptions): Promise<Receipt>;
  /** @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed` */
  patch(itemId: string, change: ItemChange, options?: WriteOptions): Promise<Receipt>;
  /**
   * Resolves when no later request can be served the item.
   * @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed`
   */
  remove(itemId: string, precondition?: Precondition): Promise<{ sequence: number }>;
  /** Resolves when everything that was accepted is published. */
  settle(): Promise<void>;
}

export function createIngest(store: Store, generation: Generation, metrics: Metrics, log: Logger): Ingest {
  const { artifact, fuser, catalogue } = generation;
  const { fingerprint } = artifact;
  const last = new Map<string, Promise<unknown>>();

  /** Writes to one item take effect in the order of their arrival; different items do not wait for each other. */
  const inOrder = <Value>(itemId: string, task: () => Promise<Value>): Promise<Value> => {
    const mine = (last.get(itemId) ?? Promise.resolve()).then(task, task);
    last.set(itemId, mine);
    const forget = (): void => {
      if (last.get(itemId) === mine) last.delete(itemId);
    };
    mine.then(forget, forget);
    return mine;
  };

  /** Called when it is the write's turn, so nothing can change the item before the write does. */
  const check = (itemId: string, precondition: Precondition | undefined): void => {
    if (precondition === undefined) return;
    const sequence = store.item(itemId)?.sequence ?? null;
    if (precondition === 'absent' && sequence !== null) throw preconditionFailed(`item ${itemId} exists already, as version ${sequence}`);
    if (precondition !== 'absent' && sequence === null) throw preconditionFailed(`there is no item ${itemId}`);
    if (typeof precondition === 'number' && precondition !== sequence)
      throw preconditionFailed(`item ${itemId} is at version ${sequence}, not at ${precondition}`);
  };

  const fuse = async (itemId: string, states: HiddenStates | null) => {
    if (!isFusable(artifact, itemId, states !== null)) return null;
    const { vector, idShare } = await fuser.fuse({ itemId, hiddenStates: states === null ? null : decodeHiddenStates(states) });
    return { vector, id_share: idShare, fingerprint };
  };

  const publish = async (fields: ItemFields, fused: Awaited<ReturnType<typeof fuse>>): Promise<void> => {
    const created = catalogue.get(fields.item_id)?.created ?? Date.now();
    await catalogue.publish([{ fields, created, vector: fused?.vector ?? null, idShare: fused?.id_share ?? null }]);
  };

  const receiptOf = (itemId: string, written: ItemWritten, searchableAfterMs: number | null): Receipt => {
    const item = catalogue.get(itemId);
    const state = item === undefined ? 'stored' : stateOf(item, true);
    return { item_id: itemId, ...written, state, searchable_after_ms: searchableAfterMs, fingerprint };
  };

  const write = async (fields: ItemFields, states: HiddenStates | null, received: number): Promise<Receipt> => {
    const fused = await fuse(fields.item_id, states);
    const written = await store.putItem({ item: fields, hiddenStates: states, vector: fused });
    await publish(fields, fused);
    const elapsed = performance.now() - received;
    if (fused !== null) metrics.searchableSeconds.observe(elapsed / 1000);
    return receiptOf(fields.item_id, written, fused === null ? null : elapsed);
  };

  /** `acknowledge` is called once the item is on the disk; what follows is made up for at the next start if it fails. */
  const writeDurably = async (fields: ItemFields, states: HiddenStates | null, received: number, acknowledge: (receipt: Receipt) => void) => {
    const written = await store.putItem({ item: fields, hiddenStates: states, vector: null });
    catalogue.describe(fields); // an item that is hidden from now on must not be served by its old fields
    acknowledge({ ...receiptOf(fields.item_id, written, null), state: fields.hidden ? 'hidden' : 'stored' });
    try {
      const fused = await fuse(fields.item_id, states);
      if (fused !== null) await store.saveVectors(fingerprint, [{ ...fused, item_id: fields.item_id }]);
      await publish(fields, fused);
      if (fused !== null) metrics.searchableSeconds.observe((performance.now() - received) / 1000);
    } catch (error) {
      log.error({ err: error }, 'a stored item could not be published');
    }
  };

  const put: Ingest['put'] = (fields, states, { precondition, wait } = {}) => {
    const received = performance.now();
    if (wait !== 'stored')
      return inOrder(fields.item_id, () => {
        check(fields.item_id, precondition);
        return write(fields, states, received);
      });
    return new Promise((resolve, reject) => {
      inOrder(fields.item_id, async () => {
        check(fields.item_id, precondition);
        await writeDurably(fields, states, received, resolve);
      }).catch(reject);
    });
  };

  return {
    put,
    patch: (itemId, change, { precondition } = {}) => {
      const received = performance.now();
      return inOrder(itemId, async () => {
        const stored = store.item(itemId);
        if (stored === null) throw notFound('item', itemId);
        check(itemId, precondition);
        const fields = change.fields(stored);
        if (change.hiddenStates !== undefined) return write(fields, change.hiddenStates, received);
        const written = await store.updateItem(fields);
        if (written === null) throw notFound('item', itemId);
        catalogue.describe(fields);
        return receiptOf(itemId, written, catalogue.get(itemId)?.slot == null ? null : performance.now() - received);
      });
    },
    remove: (itemId, precondition) =>
      inOrder(itemId, async () => {
        if (store.item(itemId) === null) throw notFound('item', itemId);
        check(itemId, precondition);
        const deleted = await store.deleteItem(itemId);
        await catalogue.remove(itemId);
        if (deleted === null) throw notFound('item', itemId);
        return deleted;
      }),
    settle: async () => void (await Promise.allSettled(last.values())),
  };
}
