import type Database from 'better-sqlite3';
import type {
  HiddenStates,
  HistoryEntry,
  ItemWithVector,
  KeptAnswer,
  ModelRecord,
  PositiveEvent,
  RecentItems,
  Store,
  StoredItem,
  StoredVector,
} from '../store.js';

type Reads = Pick<
  Store,
  | 'meta'
  | 'keptAnswer'
  | 'item'
  | 'hiddenStates'
  | 'hasHiddenStates'
  | 'items'
  | 'countItems'
  | 'itemsWithVectors'
  | 'itemsWithVectorsOf'
  | 'models'
  | 'history'
  | 'recent'
  | 'impressions'
  | 'impressionCounts'
  | 'positives'
  | 'users'
  | 'popularity'
>;

/** As in COLUMNS: rows as arrays take half of the time that rows as objects do. */
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

const toItem = (columns: ItemColumns | VectorColumns): StoredItem => ({
  item_id: columns[0],
  title: columns[1],
  author_id: columns[2],
  attributes: JSON.parse(columns[3]) as Record<string, unknown>, // written by this program only
  available_from: columns[4],
  expires_at: columns[5],
  hidden: columns[6] === 1,
  created_at: columns[7],
  updated_at: columns[8],
  sequence: columns[9],
});

const COLUMNS = 'i.item_id, i.title, i.author_id, i.attributes, i.available_from, i.expires_at, i.hidden, i.created_at, i.updated_at, i.sequence';

type VectorColumns = [...ItemColumns, vector: Buffer | null, idShare: number | null, states: number];

const toVector = (blob: Buffer): Float32Array => new Float32Array(new Uint8Array(blob).buffer);

function toItemWithVector(columns: VectorColumns): ItemWithVector {
  const [vector, share, states] = [columns[10], columns[11], columns[12]];
  const stored: StoredVector | null = vector === null || share === null ? null : { vector: toVector(vector), id_share: share };
  return { ...toItem(columns), stored, has_hidden_states: states === 1 };
}

/** Newest items that requests know of, and events that are looked at for them. */
const RECENT_ITEMS = 1000;
const RECENT_EVENTS = [1000, 4000, 16_000];

type Met = [itemId: string, at: number, positive: number];

/** One item may have many events: goes further back until there are enough different items. */
function recentOf(newest: (limit: number) => Met[], newestPositives: (limit: number) => HistoryEntry[]): RecentItems {
  const met = new Map<string, number>();
  const positives = new Set<string>();
  for (const limit of RECENT_EVENTS) {
    const events = newest(limit);
    met.clear(); // read again from the newest on, which keeps them in order
    positives.clear();
    for (const [itemId, at, positive] of events) {
      if (!met.has(itemId)) met.set(itemId, at);
      if (positive === 1) positives.add(itemId);
    }
    if (events.length < limit) return { positives: [...positives], met };
    if (met.size >= RECENT_ITEMS) break;
  }
  // older than what was met lately, but still the history
  for (const { item_id: itemId, at } of newestPositives(RECENT_ITEMS)) {
    positives.add(itemId);
    if (!met.has(itemId)) met.set(itemId, at);
  }
  return { positives: [...positives], met };
}

export function createReader(database: Database.Database): Reads {
  const meta = database.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?');
  const keptAnswer = database.prepare<[string], KeptAnswer>('SELECT key, digest, status, answer, created_at FROM kept_answers WHERE key = ?');
  const item = database.prepare<[string], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id = ?`).raw();
  const items = database.prepare<[string, number], ItemColumns>(`SELECT ${COLUMNS} FROM items i WHERE item_id > ? ORDER BY item_id LIMIT ?`).raw();
  const countItems = database.prepare<[], { count: number }>('SELECT count(*) AS count FROM items');
  const states = database.prepare<[string], { dtype: HiddenStates['dtype']; layers: number; width: number; data: Buffer }>(
    'SELECT dtype, layers, width, data FROM hidden_states WHERE item_id = ?',
  );
  const hasStates = database.prepare<[string]>('SELECT 1 FROM hidden_states WHERE item_id = ?');
  const selectWithVectors = `SELECT ${COLUMNS}, v.vector, v.id_share, EXISTS (SELECT 1 FROM hidden_states h WHERE h.item_id = i.item_id) AS states
     FROM items i LEFT JOIN vectors v ON v.fingerprint = ? AND v.item_id = i.item_id`;
  const withVectors = database
    .prepare<[string, string, number], VectorColumns>(`${selectWithVectors} WHERE i.item_id > ? ORDER BY i.item_id LIMIT ?`)
    .raw();
  const withVectorsOf = database
    .prepare<[string, string], VectorColumns>(`${selectWithVectors} WHERE i.item_id IN (SELECT value FROM json_each(?)) ORDER BY i.item_id`)
    .raw();
  const models = database.prepare<[], ModelRecord>('SELECT fingerprint, folder, manifest, registered_at FROM models ORDER BY registered_at');
  const history = database.prepare<[string, number], HistoryEntry>(
    'SELECT item_id, type, at FROM events WHERE user_id = ? AND positive = 1 ORDER BY at DESC, sequence DESC LIMIT ?',
  );
  const met = database
    .prepare<[string, number], [itemId: string, at: number, positive: number]>(
      `SELECT item_id, at, positive FROM events WHERE user_id = ? AND type <> 'impression' ORDER BY at DESC, sequence DESC LIMIT ?`,
    )
    .raw();
  const impressions = database.prepare<[string, number], { item_id: string; shown: number }>(
    `SELECT item_id, count(*) AS shown FROM events WHERE user_id = ? AND type = 'impression' AND at >= ? GROUP BY item_id`,
  );
  const isItem = 'EXISTS (SELECT 1 FROM items i WHERE i.item_id = e.item_id) AS is_item';
  const impressionCounts = database.prepare<[], { item_id: string; shown: number; is_item: number }>(
    `SELECT item_id, count(*) AS shown, ${isItem} FROM events e WHERE type = 'impression' GROUP BY item_id`,
  );
  const positives = database.prepare<[number, number, number], PositiveEvent>(
    'SELECT sequence, item_id, at, recommendation_id FROM events WHERE positive = 1 AND at >= ? AND sequence > ? ORDER BY sequence LIMIT ?',
  );
  const users = database.prepare<[string, number], { user_id: string; events: number }>(
    'SELECT user_id, count(*) AS events FROM events WHERE positive = 1 AND user_id > ? GROUP BY user_id ORDER BY user_id LIMIT ?',
  );
  const popularity = database.prepare<[number, number], { item_id: string; weight: number; is_item: number }>(
    `SELECT item_id, sum(pow(2.0, (at - ?) * 1.0 / ?)) AS weight, ${isItem} FROM events e WHERE positive = 1 GROUP BY item_id`,
  );

  return {
    keptAnswer: (key) => keptAnswer.get(key) ?? null,
    meta: (key) => meta.get(key)?.value ?? null,
    item: (itemId) => {
      const row = item.get(itemId);
      return row === undefined ? null : toItem(row);
    },
    hiddenStates: (itemId) => {
      const row = states.get(itemId);
      return row === undefined ? null : { dtype: row.dtype, shape: [row.layers, row.width], data: row.data };
    },
    hasHiddenStates: (itemId) => hasStates.get(itemId) !== undefined,
    items: (after, limit) => items.all(after ?? '', limit).map(toItem),
    countItems: () => countItems.get()?.count ?? 0,
    itemsWithVectors: (fingerprint, after, limit) => withVectors.all(fingerprint, after ?? '', limit).map(toItemWithVector),
    itemsWithVectorsOf: (fingerprint, itemIds) => withVectorsOf.all(fingerprint, JSON.stringify(itemIds)).map(toItemWithVector),
    models: () => models.all(),
    history: (userId, limit) => history.all(userId, limit),
    recent: (userId) =>
      recentOf(
        (limit) => met.all(userId, limit),
        (limit) => history.all(userId, limit),
      ),
    impressions: (userId, since) => impressions.all(userId, since),
    impressionCounts: () => impressionCounts.iterate(),
    positives: (since, after, limit) => positives.all(since, after, limit),
    users: (after, limit) => users.all(after ?? '', limit),
    popularity: (origin, halfLifeMs) => popularity.iterate(origin, halfLifeMs),
  };
}
