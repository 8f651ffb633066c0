import type { Logger } from 'pino';
import { notFound, preconditionFailed } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { HiddenStates, ItemFields, ItemWritten, Store, StoredItem } from '../store/store.js';
import { stateOf, type ItemState } from './catalogue.js';
import { fuseItem, type FusedVector } from './generation.js';
import type { Generations, Target } from './generations.js';

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

/** Live writes go to every generation: the one that serves, the one kept for a rollback and the one that is being prepared. */
export function createIngest(store: Store, generations: Pick<Generations, 'current' | 'targets'>, metrics: Metrics, log: Logger): Ingest {
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

  /** From here on a loading generation leaves the item to this write, before the store or any vector changes. */
  const take = (itemId: string): readonly Target[] => {
    const { targets } = generations;
    for (const { taken } of targets) taken?.add(itemId);
    return targets;
  };

  /** Does the step for every target; only the serving one can fail the write, another one is marked as incomplete. */
  const forEach = async <Value>(targets: readonly Target[], step: (target: Target, position: number) => Promise<Value>): Promise<(Value | null)[]> =>
    Promise.all(
      targets.map(async (target, position) => {
        try {
          return await step(target, position);
        } catch (error) {
          if (target.generation === generations.current) throw error;
          target.failure ??= error as Error;
          log.error({ err: error }, 'a write did not reach a generation that is not serving');
          return null;
        }
      }),
    );
  const isFused = (fused: FusedVector | null): fused is FusedVector => fused !== null;

  const publish = (targets: readonly Target[], fields: ItemFields, fused: readonly (FusedVector | null)[]) =>
    forEach(targets, async ({ generation: { catalogue } }, position) => {
      const { vector = null, id_share: idShare = null } = fused[position] ?? {};
      const created = catalogue.get(fields.item_id)?.created ?? Date.now();
      await catalogue.publish([{ fields, created, vector, idShare }]);
    });

  /** In effect at once; resolves when the index has followed. */
  const describe = (targets: readonly Target[], fields: ItemFields) => forEach(targets, ({ generation }) => generation.catalogue.describe(fields));

  const receiptOf = (itemId: string, written: ItemWritten, searchableAfterMs: number | null): Receipt => {
    const { catalogue, artifact } = generations.current;
    const item = catalogue.get(itemId);
    const state = item === undefined ? 'stored' : stateOf(item, true);
    return { item_id: itemId, ...written, state, searchable_after_ms: searchableAfterMs, fingerprint: artifact.fingerprint };
  };

  /** The store has changed or may have: a generation that did not get the write must not become active. */
  const orMark = async <Value>(targets: readonly Target[], task: () => Promise<Value>): Promise<Value> => {
    try {
      return await task();
    } catch (error) {
      for (const target of targets) if (target.taken !== null) target.failure ??= error as Error;
      throw error;
    }
  };

  const write = (fields: ItemFields, states: HiddenStates | null, received: number): Promise<Receipt> => {
    const targets = take(fields.item_id);
    return orMark(targets, async () => {
      const fused = await forEach(targets, ({ generation }) => fuseItem(generation, fields.item_id, states));
      const written = await store.putItem({ item: fields, hiddenStates: states, vectors: fused.filter(isFused) });
      await publish(targets, fields, fused);
      const elapsed = performance.now() - received;
      const isSearchable = isFused(fused[0] ?? null);
      if (isSearchable) metrics.searchableSeconds.observe(elapsed / 1000);
      return receiptOf(fields.item_id, written, isSearchable ? elapsed : null);
    });
  };

  /** `acknowledge` is called once the item is on the disk; what follows is made up for at the next start if it fails. */
  const writeDurably = async (fields: ItemFields, states: HiddenStates | null, received: number, acknowledge: (receipt: Receipt) => void) => {
    const targets = take(fields.item_id);
    const written = await orMark(targets, () => store.putItem({ item: fields, hiddenStates: states, vectors: [] }));
    // an item that is hidden from now on must not be served by its old fields
    const described = describe(targets, fields);
    acknowledge({ ...receiptOf(fields.item_id, written, null), state: fields.hidden ? 'hidden' : 'stored' });
    try {
      await described;
      const [fused = null] = await complete(targets, fields, states);
      if (fused !== null) metrics.searchableSeconds.observe((performance.now() - received) / 1000);
    } catch (error) {
      log.error({ err: error }, 'a stored item could not be published');
      // the vector of its old hidden states must not stay, least of all in a snapshot that counts this write as done
      await publish(targets, fields, []).catch(() => undefined); // out of the catalogue at once; replicas that are gone need not hear of it
    }
  };

  /** Fuses and publishes what the store already has. */
  const complete = (targets: readonly Target[], fields: ItemFields, states: HiddenStates | null) =>
    orMark(targets, async () => {
      const fused = await forEach(targets, ({ generation }) => fuseItem(generation, fields.item_id, states));
      await Promise.all(fused.filter(isFused).map((vector) => store.saveVectors(vector.fingerprint, [{ ...vector, item_id: fields.item_id }])));
      await publish(targets, fields, fused);
      return fused;
    });

  /** Changes fields only; a generation that has not loaded the item yet gets it whole. */
  const update = async (fields: ItemFields, received: number): Promise<Receipt> => {
    const targets = take(fields.item_id);
    const written = await orMark(targets, () => store.updateItem(fields));
    if (written === null) throw notFound('item', fields.item_id);
    const missing = targets.filter(({ generation }) => generation.catalogue.get(fields.item_id) === undefined);
    await describe(targets, fields);
    if (missing.length > 0) await complete(missing, fields, store.hiddenStates(fields.item_id));
    const isSearchable = generations.current.catalogue.get(fields.item_id)?.slot != null;
    return receiptOf(fields.item_id, written, isSearchable ? performance.now() - received : null);
  };

  return {
    put: (fields, states, { precondition, wait } = {}) => {
      const received = performance.now();
      if (wait !== 'stored')
        return inOrder(fields.item_id, async () => {
          check(fields.item_id, precondition);
          return write(fields, states, received);
        });
      return new Promise((resolve, reject) => {
        inOrder(fields.item_id, async () => {
          check(fields.item_id, precondition);
          await writeDurably(fields, states, received, resolve);
        }).catch(reject);
      });
    },
    patch: (itemId, change, { precondition } = {}) => {
      const received = performance.now();
      return inOrder(itemId, async () => {
        const stored = store.item(itemId);
        if (stored === null) throw notFound('item', itemId);
        check(itemId, precondition);
        const fields = change.fields(stored);
        return change.hiddenStates === undefined ? update(fields, received) : write(fields, change.hiddenStates, received);
      });
    },
    remove: (itemId, precondition) =>
      inOrder(itemId, async () => {
        if (store.item(itemId) === null) throw notFound('item', itemId);
        check(itemId, precondition);
        const targets = take(itemId);
        const deleted = await orMark(targets, () => store.deleteItem(itemId));
        await forEach(targets, ({ generation }) => generation.catalogue.remove(itemId));
        if (deleted === null) throw notFound('item', itemId);
        return deleted;
      }),
    settle: async () => void (await Promise.allSettled(last.values())),
  };
}
