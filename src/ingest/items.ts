import type { Logger } from 'pino';
import { notFound, overloaded, preconditionFailed } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { HiddenStates, ItemFields, Store, StoredItem } from '../store/store.js';
import type { ItemState } from '../retrieval/embedded/catalogue.js';
import { fuseItem, stateIn, type FusedVector } from '../generations/generation.js';
import type { Generations, Target } from '../generations/generations.js';

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

/** `exists`, `absent`, or the sequence of the version that the caller has seen. */
export type Precondition = 'exists' | 'absent' | number;

export interface WriteOptions {
  precondition?: Precondition | undefined;
  /** `stored`: resolve when the item is durable; fusing and publishing follow on their own. */
  wait?: 'searchable' | 'stored' | undefined;
  /** When too many writes are under way. Waiting is for a caller who brings a bounded number at a time. */
  whenFull?: 'refuse' | 'wait' | undefined;
}

export interface ItemChange {
  fields: (stored: StoredItem) => ItemFields;
  /** Absent: kept as they are. */
  hiddenStates?: HiddenStates | null;
}

export interface Ingest {
  /**
   * Fuses, stores and publishes; resolves when the item is durable and, where it has a vector, in every index replica.
   * @throws ReelfuseError 412 `precondition_failed`, 503 `overloaded`
   */
  put(fields: ItemFields, hiddenStates: HiddenStates | null, options?: WriteOptions): Promise<Put>;
  /** @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed`, 503 `overloaded` */
  patch(itemId: string, change: ItemChange, options?: WriteOptions): Promise<Receipt>;
  /**
   * Resolves when no later request can be served the item.
   * @throws ReelfuseError 404 `item_not_found`, 412 `precondition_failed`, 503 `overloaded`
   */
  remove(itemId: string, precondition?: Precondition): Promise<Receipt>;
  /** Resolves when everything that was accepted is published. */
  settle(): Promise<void>;
}

export interface IngestSetup {
  store: Store;
  generations: Pick<Generations, 'current' | 'targets'>;
  /** Writes that may be under way at once; they are what waits for the item tower and, as items, for the disk. */
  maxQueue: number;
  metrics: Metrics;
  log: Logger;
}

/** Live writes go to every generation: the one that serves, the one kept for a rollback and the one that is being prepared. */
export function createIngest({ store, generations, maxQueue, metrics, log }: IngestSetup): Ingest {
  const last = new Map<string, Promise<unknown>>();
  let underWay = 0;
  /** Callers who wait for a place, in the order of their arrival; a write that is done hands its place on. */
  const patient: (() => void)[] = [];
  const leave = (): void => {
    const next = patient.shift();
    if (next === undefined) underWay--;
    else next();
  };

  /** Writes to one item take effect in the order of their arrival; different items do not wait for each other. */
  const inOrder = async <Value>(itemId: string, whenFull: WriteOptions['whenFull'], task: () => Promise<Value>): Promise<Value> => {
    if (underWay < maxQueue) underWay++;
    else if (whenFull === 'wait') await new Promise<void>((resolve) => patient.push(resolve));
    else {
      metrics.rejected.inc({ reason: 'item_queue_full' });
      throw overloaded('item');
    }
    const mine = (last.get(itemId) ?? Promise.resolve()).then(task, task);
    last.set(itemId, mine);
    const forget = (): void => {
      leave();
      if (last.get(itemId) === mine) last.delete(itemId);
    };
    mine.then(forget, forget);
    return mine;
  };

  /** `stored`: answered when the task says that the item is durable; what fails after that is made up for at the next start. */
  const answered = <Answer extends Receipt>(
    itemId: string,
    { wait, whenFull }: WriteOptions,
    task: (acknowledge: ((receipt: Answer) => void) | null) => Promise<Answer>,
  ): Promise<Answer> => {
    if (wait !== 'stored') return inOrder(itemId, whenFull, () => task(null));
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const acknowledge = (receipt: Answer): void => {
        isAnswered = true;
        resolve(receipt);
      };
      inOrder(itemId, whenFull, () => task(acknowledge)).then(resolve, (error: unknown) => {
        if (isAnswered) log.error({ err: error }, 'a stored item could not be published');
        reject(error as Error);
      });
    });
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

  const publish = (targets: readonly Target[], fields: ItemFields, created: number, fused: readonly (FusedVector | null)[]) =>
    forEach(targets, async ({ generation: { catalogue } }, position) => {
      const { vector = null, id_share: idShare = null } = fused[position] ?? {};
      await catalogue.publish([{ fields, created, vector, idShare }]);
    });

  /** In effect at once; resolves when the index has followed. */
  const describe = (targets: readonly Target[], fields: ItemFields) => forEach(targets, ({ generation }) => generation.catalogue.describe(fields));

  const receiptOf = (itemId: string, sequence: number, received: number): Receipt => {
    const { catalogue, artifact } = generations.current;
    const elapsed = performance.now() - received;
    return {
      item_id: itemId,
      state: stateIn(generations.current, itemId),
      sequence,
      searchable_after_ms: catalogue.get(itemId)?.slot == null ? null : elapsed,
      applied_after_ms: elapsed,
      model: { fingerprint: artifact.fingerprint, version: artifact.manifest.version },
    };
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

  const writeWhole = (fields: ItemFields, states: HiddenStates | null, received: number): Promise<Put> => {
    const targets = take(fields.item_id);
    return orMark(targets, async () => {
      const fused = await forEach(targets, ({ generation }) => fuseItem(generation, fields.item_id, states));
      const written = await store.putItem({ item: fields, hiddenStates: states, vectors: fused.filter(isFused) });
      await publish(targets, fields, written.created_at, fused);
      if (isFused(fused[0] ?? null)) metrics.searchableSeconds.observe((performance.now() - received) / 1000);
      return { ...receiptOf(fields.item_id, written.sequence, received), created: written.created };
    });
  };

  /** `acknowledge` is called once the item is on the disk. */
  const writeDurably = async (
    fields: ItemFields,
    states: HiddenStates | null,
    received: number,
    acknowledge: (receipt: Put) => void,
  ): Promise<Put> => {
    const targets = take(fields.item_id);
    const {
      sequence,
      created,
      created_at: createdAt,
    } = await orMark(targets, () => store.putItem({ item: fields, hiddenStates: states, vectors: [] }));
    // an item that is hidden from now on must not be served by its old fields
    const described = describe(targets, fields);
    const state = fields.hidden ? 'hidden' : 'stored';
    acknowledge({ ...receiptOf(fields.item_id, sequence, received), created, state, searchable_after_ms: null });
    try {
      await described;
      const [fused = null] = await complete(targets, fields, createdAt, states);
      if (fused !== null) metrics.searchableSeconds.observe((performance.now() - received) / 1000);
    } catch (error) {
      log.error({ err: error }, 'a stored item could not be published');
      // the vector of its old hidden states must not stay, least of all in a snapshot that counts this write as done
      await publish(targets, fields, createdAt, []).catch(() => undefined); // out of the catalogue at once; replicas that are gone need not hear of it
    }
    return { ...receiptOf(fields.item_id, sequence, received), created };
  };

  /** Fuses and publishes what the store already has. */
  const complete = (targets: readonly Target[], fields: ItemFields, created: number, states: HiddenStates | null) =>
    orMark(targets, async () => {
      const fused = await forEach(targets, ({ generation }) => fuseItem(generation, fields.item_id, states));
      await Promise.all(fused.filter(isFused).map((vector) => store.saveVectors(vector.fingerprint, [{ ...vector, item_id: fields.item_id }])));
      await publish(targets, fields, created, fused);
      return fused;
    });

  const write = (fields: ItemFields, states: HiddenStates | null, received: number, acknowledge: ((receipt: Put) => void) | null): Promise<Put> =>
    acknowledge === null ? writeWhole(fields, states, received) : writeDurably(fields, states, received, acknowledge);

  /** Changes fields only; a generation that has not loaded the item yet gets it whole. */
  const update = async (fields: ItemFields, received: number, acknowledge: ((receipt: Receipt) => void) | null): Promise<Receipt> => {
    const targets = take(fields.item_id);
    const written = await orMark(targets, () => store.updateItem(fields));
    if (written === null) throw notFound('item', fields.item_id);
    const missing = targets.filter(({ generation }) => generation.catalogue.get(fields.item_id) === undefined);
    const described = describe(targets, fields);
    acknowledge?.(receiptOf(fields.item_id, written.sequence, received));
    await described;
    if (missing.length > 0) await complete(missing, fields, written.created_at, store.hiddenStates(fields.item_id));
    return receiptOf(fields.item_id, written.sequence, received);
  };

  return {
    put: (fields, states, options = {}) => {
      const received = performance.now();
      return answered<Put>(fields.item_id, options, async (acknowledge) => {
        check(fields.item_id, options.precondition);
        return write(fields, states, received, acknowledge);
      });
    },
    patch: (itemId, change, options = {}) => {
      const received = performance.now();
      return answered<Receipt>(itemId, options, async (acknowledge) => {
        const stored = store.item(itemId);
        if (stored === null) throw notFound('item', itemId);
        check(itemId, options.precondition);
        const fields = change.fields(stored);
        return change.hiddenStates === undefined ? update(fields, received, acknowledge) : write(fields, change.hiddenStates, received, acknowledge);
      });
    },
    remove: (itemId, precondition) => {
      const received = performance.now();
      return inOrder(itemId, 'refuse', async () => {
        if (store.item(itemId) === null) throw notFound('item', itemId);
        check(itemId, precondition);
        const targets = take(itemId);
        const deleted = await orMark(targets, () => store.deleteItem(itemId));
        await forEach(targets, ({ generation }) => generation.catalogue.remove(itemId));
        if (deleted === null) throw notFound('item', itemId);
        return { ...receiptOf(itemId, deleted.sequence, received), state: 'deleted' };
      });
    },
    settle: async () => void (await Promise.allSettled(last.values())),
  };
}
