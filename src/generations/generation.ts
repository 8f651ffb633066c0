import { setTimeout as pause } from 'node:timers/promises';
import type { Artifact } from '../model/artifact.js';
import type { Fuser } from '../model/fuser.js';
import type { RecommenderPool } from '../model/recommender-pool.js';
import type { HiddenStates, ItemWithVector, Store, StoredItem } from '../store/store.js';
import type { ItemRows } from '../domain/item-interner.js';
import { createCatalogue, stateOf, type Catalogue, type ItemState, type PublishedItem } from '../retrieval/embedded/catalogue.js';
import type { Clock } from '../retrieval/embedded/schedule.js';

/** One model's towers, vectors and index: a request is answered by exactly one. */
export interface Generation {
  artifact: Artifact;
  fuser: Fuser;
  pool: RecommenderPool;
  catalogue: Catalogue;
  /** Recall@20 of the first self-checks since the graph was built: what later ones are compared with, over restarts too. */
  firstRecalls: number[];
  /** Runs a task that the generation must outlive; called in the turn in which the generation was chosen. */
  use<Value>(task: () => Promise<Value>): Promise<Value>;
  /** Lets the tasks that use it now end first; waits so many milliseconds at most. */
  giveWay(milliseconds: number): Promise<void>;
  /** Resolves when no task uses it any more and its threads have ended. */
  close(): Promise<void>;
}

export function createGeneration(artifact: Artifact, fuser: Fuser, pool: RecommenderPool, rows: ItemRows, clock: Clock): Generation {
  const { dim, similarity } = artifact.manifest;
  const catalogue = createCatalogue(dim, similarity === 'cosine', pool, rows, clock);
  let tasks = createTasks();
  let earlier: Tasks[] = [];
  return {
    artifact,
    fuser,
    pool,
    catalogue,
    firstRecalls: [],
    use: (task) => tasks.add(task()),
    giveWay: async (milliseconds) => {
      earlier = [...earlier, tasks].filter(({ isOver }) => !isOver());
      tasks = createTasks();
      if (earlier.length === 0) return;
      const ended = new AbortController();
      await Promise.race([endOf(earlier), pause(milliseconds, null, { signal: ended.signal }).catch(() => undefined)]);
      ended.abort();
    },
    close: async () => {
      const all = (): Tasks[] => [...earlier, tasks];
      while (all().some(({ isOver }) => !isOver())) await endOf(all());
      catalogue.close();
      await Promise.all([pool.close(), fuser.close()]);
    },
  };
}

interface Tasks {
  add<Value>(work: Promise<Value>): Promise<Value>;
  isOver(): boolean;
  /** Resolves when none of them is left. */
  ended(): Promise<void>;
}

/**
 * Counts what is under way. A set would hold the promises, and the tables that a busy set leaves behind keep what is in them,
 * down to finished answers, until a full collection.
 */
function createTasks(): Tasks {
  let count = 0;
  let waiting: (() => void)[] = [];
  const end = (): void => {
    if (--count > 0) return;
    for (const tell of waiting) tell();
    waiting = [];
  };
  return {
    add: (work) => {
      count++;
      work.then(end, end);
      return work;
    },
    isOver: () => count === 0,
    ended: () => (count === 0 ? Promise.resolve() : new Promise((resolve) => void waiting.push(resolve))),
  };
}

const endOf = (tasks: readonly Tasks[]): Promise<unknown> => Promise.all(tasks.map((some) => some.ended()));

/** Whether the model can place the item: by its hidden states, or by its own row of the ID table. */
const isFusable = ({ manifest, idRows }: Artifact, itemId: string, hasStates: boolean): boolean =>
  manifest.variant === 'id' ? idRows.has(itemId) : hasStates || (manifest.variant === 'dff' && idRows.has(itemId));

export function stateIn({ artifact, catalogue }: Pick<Generation, 'artifact' | 'catalogue'>, itemId: string): ItemState {
  const item = catalogue.get(itemId);
  return item === undefined ? 'stored' : stateOf(item, artifact.manifest.variant !== 'id');
}

export interface FusedVector {
  vector: Float32Array;
  id_share: number;
  fingerprint: string;
}

/** Null when the model cannot place the item. Hidden states of another model's shape count as absent. */
export async function fuseItem({ artifact, fuser }: Generation, itemId: string, states: HiddenStates | null): Promise<FusedVector | null> {
  const { layers, hidden_dim: width } = artifact.manifest;
  const usable = states !== null && states.shape[0] === layers.count && states.shape[1] === width ? states : null;
  if (!isFusable(artifact, itemId, usable !== null)) return null;
  const { vector, idShare } = await fuser.fuse({ itemId, hiddenStates: usable });
  return { vector, id_share: idShare, fingerprint: artifact.fingerprint };
}

export interface LoadOptions extends Steps {
  /** Rows read and saved together. */
  batch: number;
  /** Called after each batch, with the number of items gone through. */
  onProgress: (items: number) => void;
}

/** How rows are fused and published. */
export interface Steps {
  /** Rows at a time; absent: all. */
  step?: number;
  /** Awaited before each step; throwing ends the loading. */
  pace?: () => Promise<void>;
  /** Items that somebody else has published, or is about to. */
  isTaken?: (itemId: string) => boolean;
}

/** Fills the generation from the store: stored vectors of its fingerprint are taken as they are, the others are fused and saved. */
export async function loadGeneration(generation: Generation, store: Store, options: LoadOptions): Promise<{ fused: number }> {
  let fused = 0;
  let done = 0;
  let last: string | null = null;
  for (;;) {
    const rows = store.itemsWithVectors(generation.artifact.fingerprint, last, options.batch);
    if (rows.length === 0) return { fused };
    fused += await loadRows(generation, store, rows, options);
    done += rows.length;
    last = rows.at(-1)?.item_id ?? null;
    options.onProgress(done);
  }
}

/** Fuses what has no vector yet, publishes all and saves what was fused. @returns how many were */
export async function loadRows(generation: Generation, store: Store, rows: readonly ItemWithVector[], steps: Steps = {}): Promise<number> {
  const { step = rows.length, pace, isTaken = () => false } = steps;
  const made: { item_id: string; vector: Float32Array; id_share: number }[] = [];
  const place = async ({ stored, has_hidden_states: has, ...row }: ItemWithVector): Promise<PublishedItem> => {
    const { fields, created } = publishable(row);
    if (stored !== null) return { fields, created, vector: stored.vector, idShare: stored.id_share };
    const result = await fuseItem(generation, fields.item_id, has ? store.hiddenStates(fields.item_id) : null);
    if (result === null) return { fields, created, vector: null, idShare: null };
    made.push({ item_id: fields.item_id, vector: result.vector, id_share: result.id_share });
    return { fields, created, vector: result.vector, idShare: result.id_share };
  };
  for (let first = 0; first < rows.length; first += step) {
    await pace?.();
    const ready = await Promise.all(rows.slice(first, first + step).map(place));
    await generation.catalogue.publish(ready.filter(({ fields }) => !isTaken(fields.item_id)));
  }
  const own = made.filter(({ item_id: itemId }) => !isTaken(itemId));
  if (own.length > 0) await store.saveVectors(generation.artifact.fingerprint, own);
  return own.length;
}

/** What the catalogue keeps of a stored item; field by field, because millions of them are made while a server starts. */
export function publishable(item: StoredItem): Pick<PublishedItem, 'fields' | 'created'> {
  const { item_id, title, author_id, attributes, available_from, expires_at, hidden, created_at: created } = item;
  return { fields: { item_id, title, author_id, attributes, available_from, expires_at, hidden }, created };
}
