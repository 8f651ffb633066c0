import type { HiddenStates, ItemFields, StoredVector } from '../../src/domain/item.js';
import type { ItemModel } from '../../src/ingest/item-fusing.js';
import type { Manifest } from '../../src/model/manifest.js';
import type { IndexChange, Retrieval } from '../../src/retrieval/retrieval.js';
import type { ChangeFeed, ItemChange } from '../../src/store/changes.js';
import type { ItemStore } from '../../src/store/items.js';
import type { ItemWithVector, VectorStore } from '../../src/store/vectors.js';

/** Of the model that the doubles fuse for. */
export const MODEL = 'model-a';

export const fieldsNamed = (itemId: string, title: string, hidden = false): ItemFields => ({
  item_id: itemId,
  title,
  author_id: null,
  attributes: {},
  available_from: null,
  expires_at: null,
  hidden,
});

/** Hidden states whose fused vector is [value, 0]. */
export const statesOf = (value: number): HiddenStates => ({ dtype: 'float16', shape: [1, 2], data: new Uint8Array([value, 0, 0, 0]) });

export const vectorOf = (value: number): StoredVector => ({ vector: Float32Array.of(value, 0), id_share: 0.5 });

/** A promise, and how it is settled. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Lets everything run that waits for nothing but promises. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Row {
  fields: ItemFields;
  created: number;
  sequence: number;
  states: HiddenStates | null;
  /** By fingerprint. */
  vectors: Map<string, StoredVector>;
}

interface Written {
  title?: string;
  hidden?: boolean;
  states?: HiddenStates | null;
  vectors?: (StoredVector & { fingerprint: string })[];
  /** Whether the feed says what was written. */
  isKept?: boolean;
}

/** A store of one table with a change feed, created times are sequences; a write is durable, and told to those who listen, when it returns. */
export function scriptedStore() {
  const rows = new Map<string, Row>();
  const log: ItemChange[] = [];
  const listeners = new Set<() => void>();
  const saved: string[] = [];
  const reads: string[][] = [];
  let sequence = 0;
  let beforeSince: Promise<void> = Promise.resolve();
  const tell = (change: Omit<ItemChange, 'sequence'>): number => {
    log.push({ ...change, sequence });
    for (const listener of listeners) listener();
    return sequence;
  };
  const rowWithVector = (fingerprint: string, itemId: string, { fields, created, states, vectors, sequence: at }: Row): ItemWithVector => ({
    ...fields,
    item_id: itemId,
    created_at: created,
    updated_at: created,
    sequence: at,
    stored: vectors.get(fingerprint) ?? null,
    has_hidden_states: states !== null,
  });
  const written = ({ fields, created, states }: Row, vectors: (StoredVector & { fingerprint: string })[], isKept: boolean): ItemChange['written'] =>
    isKept ? { fields, created_at: created, has_hidden_states: states !== null, vectors } : null;

  const changes: Pick<ChangeFeed, 'itemSequence' | 'since' | 'onItemChange' | 'sequence'> = {
    get sequence() {
      return sequence;
    },
    get itemSequence() {
      return sequence;
    },
    since: async (after, limit) => {
      await beforeSince;
      const newest = new Map<string, ItemChange>();
      for (const change of log) {
        if (change.sequence <= after) continue;
        const earlier = newest.get(change.item_id);
        newest.delete(change.item_id);
        newest.set(change.item_id, earlier === undefined ? change : merged(earlier, change));
      }
      return [...newest.values()].slice(0, limit);
    },
    onItemChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const vectors: Pick<VectorStore, 'list' | 'getMany' | 'save'> = {
    list: async (fingerprint, after, limit) =>
      [...rows]
        .filter(([id]) => after === null || id > after)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([id, row]) => rowWithVector(fingerprint, id, row)),
    getMany: async (fingerprint, ids) => {
      reads.push([...ids]);
      return ids.flatMap((id) => {
        const row = rows.get(id);
        return row === undefined ? [] : [rowWithVector(fingerprint, id, row)];
      });
    },
    save: async (fingerprint, made) => {
      for (const { item_id: id, vector, id_share, sequence: read = Infinity } of made) {
        const row = rows.get(id);
        if (row === undefined || row.sequence > read) continue;
        saved.push(id);
        row.vectors.set(fingerprint, { vector, id_share });
      }
    },
  };
  const items: Pick<ItemStore, 'hiddenStates'> = { hiddenStates: async (id) => rows.get(id)?.states ?? null };

  return {
    stores: { items, vectors, changes },
    rows,
    /** Ids in the order in which their vectors were saved. */
    saved,
    /** Ids of each read of items. */
    reads,
    get sequence() {
      return sequence;
    },
    put: (itemId: string, { title = itemId, hidden = false, states = null, vectors: given = [], isKept = true }: Written = {}): number => {
      sequence++;
      const row = {
        fields: fieldsNamed(itemId, title, hidden),
        created: rows.get(itemId)?.created ?? sequence,
        sequence,
        states,
        vectors: new Map(given.map(({ fingerprint, ...vector }) => [fingerprint, vector])),
      };
      rows.set(itemId, row);
      return tell({ item_id: itemId, kind: 'put', written: written(row, given, isKept) });
    },
    updateFields: (itemId: string, { title = itemId, hidden = false, isKept = true }: Written = {}): number => {
      const row = rows.get(itemId);
      if (row === undefined) throw new Error(`there is no ${itemId}`);
      Object.assign(row, { fields: fieldsNamed(itemId, title, hidden), sequence: ++sequence });
      return tell({ item_id: itemId, kind: 'fields', written: written(row, [], isKept) });
    },
    remove: (itemId: string): number => {
      sequence++;
      rows.delete(itemId);
      return tell({ item_id: itemId, kind: 'delete', written: null });
    },
    /** Reads of the feed wait for this. */
    holdFeed: (until: Promise<void>): void => {
      beforeSince = until;
    },
  };
}

/** Fields that change after a put are a put with those fields. */
function merged(earlier: ItemChange, later: ItemChange): ItemChange {
  if (earlier.kind !== 'put' || later.kind !== 'fields') return later;
  const written = earlier.written === null || later.written === null ? null : { ...later.written, vectors: earlier.written.vectors };
  return { ...later, kind: 'put', written };
}

interface Indexed {
  title: string | null;
  hidden: boolean;
  /** First number of its vector; null: it has none. */
  vector: number | null;
}

/** Does what it is told at once, and notes it: 'put a 1', 'put a', 'fields a', 'delete a'. */
export function recordingRetrieval() {
  const notes: string[] = [];
  const items = new Map<string, Indexed>();
  const created = new Map<string, number>();
  let beforeSearchable: Promise<void> = Promise.resolve();
  const applyOne = (change: IndexChange, unknown: string[]): void => {
    if (change.kind === 'delete') {
      notes.push(`delete ${change.itemId}`);
      items.delete(change.itemId);
      return;
    }
    const { item_id: itemId, title, hidden } = change.fields;
    const known = items.get(itemId);
    if (change.kind === 'put') {
      const vector = change.stored?.vector[0] ?? null;
      notes.push(vector === null ? `put ${itemId}` : `put ${itemId} ${vector}`);
      items.set(itemId, { title, hidden, vector });
      created.set(itemId, change.created);
    } else {
      notes.push(`fields ${itemId}`);
      if (known === undefined) unknown.push(itemId);
      else items.set(itemId, { title, hidden, vector: known.vector });
    }
  };
  const retrieval: Pick<Retrieval, 'apply'> = {
    apply: async (changes) => {
      const unknown: string[] = [];
      for (const change of changes) applyOne(change, unknown);
      await beforeSearchable;
      return { unknown };
    },
  };
  return {
    retrieval,
    notes,
    items,
    /** Created times by id. */
    created,
    /** Searches follow what is applied from now on when this resolves. */
    holdSearches: (until: Promise<void>): void => {
      beforeSearchable = until;
    },
  };
}

/** A model that fuses the first byte of hidden states; `fuse` may be held, or fail, by item. */
export function fusingModel(fingerprint = MODEL) {
  const fused: string[] = [];
  const held = new Map<string, Promise<void>>();
  const failing = new Map<string, Error>();
  const manifest = {
    variant: 'dff',
    version: '1',
    dim: 2,
    hidden_dim: 2,
    layers: { count: 1, names: ['0'] },
    max_history: 10,
  } as unknown as Manifest; // no more of it is asked for
  const model: ItemModel = {
    artifact: { fingerprint, manifest, idRows: new Map() },
    fuser: {
      fuse: async ({ itemId, hiddenStates }) => {
        fused.push(itemId);
        await held.get(itemId);
        const error = failing.get(itemId);
        if (error !== undefined) throw error;
        return { vector: Float32Array.of(hiddenStates?.data[0] ?? 0, 0), idShare: 0.5 };
      },
    },
  };
  return { model, fused, held, failing };
}
