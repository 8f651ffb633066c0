import type Database from 'better-sqlite3';
import type { StoredVector } from '../../domain/item.js';
import { DamagedError } from '../../storage-faults.js';
import type { ItemStore, StoredItem } from '../items.js';
import type { StorageHealth } from '../storage-health.js';
import type { ItemWithVector, VectorStore } from '../vectors.js';
import { isSound } from '../checksum.js';
import type { ReadGuard } from './read-guard.js';
import { prepareStatesRead } from './states-read.js';

/** A row by the order of COLUMNS. better-sqlite3 returns rows as arrays in half of the time that it takes for objects. */
type ItemColumns = [
  itemId: string,
  title: string | null,
  authorId: string | null,
  attributes: string,
  availableFrom: number | null,
  expiresAt: number | null,
  hidden: number,
  createdAt: number,
  updatedAt: number,
  sequence: number,
];

const COLUMNS = 'i.item_id, i.title, i.author_id, i.attributes, i.available_from, i.expires_at, i.hidden, i.created_at, i.updated_at, i.sequence';

/** @throws SyntaxError when its attributes are damaged: they were written by this program only */
const toItem = (columns: ItemColumns | VectorColumns): StoredItem => ({
  item_id: columns[0],
  title: columns[1],
  author_id: columns[2],
  attributes: JSON.parse(columns[3]) as Record<string, unknown>,
  available_from: columns[4],
  expires_at: columns[5],
  hidden: columns[6] === 1,
  created_at: columns[7],
  updated_at: columns[8],
  sequence: columns[9],
});

type VectorColumns = [...ItemColumns, vector: Buffer | null, idShare: number | null, checksum: number | null, states: number];

const toVector = (blob: Buffer): Float32Array => new Float32Array(new Uint8Array(blob).buffer);

export interface ReadsSetup {
  database: Database.Database;
  guard: ReadGuard;
  health: Pick<StorageHealth, 'noteDamaged'>;
}

/**
 * Makes items of rows. Damaged ones are noted and left out, so that they do not take the others with them.
 * @param pageAfter reads the rows after this id. The next page is read when all rows of one are damaged: an empty one is the last
 */
function readPage<Columns extends ItemColumns | VectorColumns, Value>(
  { health }: ReadsSetup,
  pageAfter: (after: string) => Columns[],
  after: string | null,
  make: (columns: Columns) => Value,
): Value[] {
  for (let from = after ?? ''; ;) {
    const rows = pageAfter(from);
    const values = rows.flatMap((columns) => soundItem(health, columns, make) ?? []);
    if (values.length > 0 || rows.length === 0) return values;
    from = rows.at(-1)?.[0] ?? from;
  }
}

/** Null: the row is damaged. */
function soundItem<Columns extends ItemColumns | VectorColumns, Value>(
  health: ReadsSetup['health'],
  columns: Columns,
  make: (columns: Columns) => Value,
): Value | null {
  try {
    return make(columns);
  } catch {
    health.noteDamaged({ table: 'items', key: columns[0] }, 'its attributes are no JSON');
    return null;
  }
}

export type ItemReads = Pick<ItemStore, 'get' | 'getMany' | 'list' | 'count' | 'hiddenStates' | 'withHiddenStates'>;

export function prepareItemReads(setup: ReadsSetup): ItemReads {
  const { database, guard, health } = setup;
  const item = database.prepare<[string], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id = ?`).raw();
  const ofIds = database.prepare<[string], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id IN (SELECT value FROM json_each(?))`).raw();
  const page = database.prepare<[string, number], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id > ? ORDER BY item_id LIMIT ?`).raw();
  const count = database.prepare<[], number>('SELECT count(*) FROM items').pluck();
  const readStates = prepareStatesRead(database);
  const haveStates = database
    .prepare<[string], string>('SELECT item_id FROM hidden_states WHERE item_id IN (SELECT value FROM json_each(?))')
    .pluck();
  const damaged = (table: string, itemId: string, what: string): DamagedError => {
    health.noteDamaged({ table, key: itemId }, what);
    return new DamagedError(`${table} of the item ${JSON.stringify(itemId)}: ${what}`);
  };
  return {
    get: guard((itemId) => {
      const row = item.get(itemId);
      if (row === undefined) return null;
      const known = soundItem(health, row, toItem);
      if (known === null) throw damaged('items', itemId, 'its attributes are no JSON');
      return known;
    }),
    getMany: guard((itemIds) => ofIds.all(JSON.stringify(itemIds)).flatMap((row) => soundItem(health, row, toItem) ?? [])),
    list: guard((after, limit) => readPage(setup, (from) => page.all(from, limit), after, toItem)),
    count: guard(() => count.get() ?? 0),
    hiddenStates: guard((itemId) => {
      const { row, problem } = readStates(itemId);
      if (problem !== null) throw damaged('hidden_states', itemId, problem);
      return row === undefined ? null : { dtype: row.dtype, shape: [row.layers, row.width], data: row.data };
    }),
    withHiddenStates: guard((itemIds) => new Set(haveStates.all(JSON.stringify(itemIds)))),
  };
}

export type VectorReads = Pick<VectorStore, 'list' | 'getMany'>;

export function prepareVectorReads(setup: ReadsSetup): VectorReads {
  const { database, guard, health } = setup;
  const select = `SELECT ${COLUMNS}, v.vector, v.id_share, v.checksum, EXISTS (SELECT 1 FROM hidden_states h WHERE h.item_id = i.item_id) AS states
     FROM items i LEFT JOIN vectors v ON v.fingerprint = ? AND v.item_id = i.item_id`;
  const page = database.prepare<[string, string, number], VectorColumns>(`${select} WHERE i.item_id > ? ORDER BY i.item_id LIMIT ?`).raw();
  const ofIds = database
    .prepare<[string, string], VectorColumns>(`${select} WHERE i.item_id IN (SELECT value FROM json_each(?)) ORDER BY i.item_id`)
    .raw();
  const toItemWithVector =
    (fingerprint: string) =>
    (columns: VectorColumns): ItemWithVector => {
      const [itemId, vector, share, checksum, states] = [columns[0], columns[10], columns[11], columns[12], columns[13]];
      let stored: StoredVector | null = null;
      if (vector !== null && share !== null) {
        if (isSound(checksum, vector, fingerprint, itemId)) stored = { vector: toVector(vector), id_share: share };
        else health.noteDamaged({ table: 'vectors', key: itemId }, 'its checksum does not hold; the vector is made again from the hidden states');
      }
      return { ...toItem(columns), stored, has_hidden_states: states === 1 };
    };
  return {
    list: guard((fingerprint, after, limit) => readPage(setup, (from) => page.all(fingerprint, from, limit), after, toItemWithVector(fingerprint))),
    getMany: guard((fingerprint, itemIds) => {
      const make = toItemWithVector(fingerprint);
      return ofIds.all(fingerprint, JSON.stringify(itemIds)).flatMap((row) => soundItem(health, row, make) ?? []);
    }),
  };
}
