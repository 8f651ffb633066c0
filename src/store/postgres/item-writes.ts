import { admitAttributes, type KnownAttribute } from '../../domain/attribute-registry.js';
import { UNKNOWN_TIME, type ItemFields, type StoredVector } from '../../domain/item.js';
import { ReelfuseError } from '../../errors.js';
import { checksumOf } from '../checksum.js';
import type { ItemWrite, ItemWritten } from '../items.js';
import type { FusedItem } from '../vectors.js';
import { lockRegistry, putAttributes, readRegistry } from './attribute-rows.js';
import { noteChanges, sequencesOf, type NotedChange } from './changes-table.js';
import type { Statements } from './database.js';

export type ItemOperation = { type: 'put'; write: ItemWrite } | { type: 'fields'; item: ItemFields } | { type: 'delete'; itemId: string };

export const itemIdOf = (operation: ItemOperation): string => {
  if (operation.type === 'delete') return operation.itemId;
  return operation.type === 'put' ? operation.write.item.item_id : operation.item.item_id;
};

/** Null: there was no such item. An error: the item was refused, and nothing of it is written. */
export type ItemOutcome = { value: ItemWritten | { sequence: number } | null } | { refusal: ReelfuseError };

export interface ItemsWritten {
  outcomes: ItemOutcome[];
  attributes: readonly KnownAttribute[];
}

/** Thrown to begin anew with the registry locked, because a write changes it. */
const registryChanges = new Error('the registry changes');

/**
 * Writes items, each named once, in the transaction of the statements.
 * @returns outcomes in the order of the operations
 */
export async function writeItems(statements: Statements, operations: readonly ItemOperation[], changesRegistry: boolean): Promise<ItemsWritten> {
  const { refusals, attributes } = await admit(statements, operations, changesRegistry);
  const sequences = await sequencesOf(statements);
  const numbered = operations.map((operation, place) => ({ operation, sequence: sequences.of(place, operations.length) }));
  const accepted = numbered.filter(({ operation }) => !refusals.has(operation));
  const written = new Map<string, { sequence: number; created_at?: number; created?: boolean }>();
  const now = Date.now();
  const puts = accepted.flatMap(({ operation, sequence }) => (operation.type === 'put' ? { ...operation.write, sequence } : []));
  const changes = accepted.flatMap(({ operation, sequence }) => (operation.type === 'fields' ? { item: operation.item, sequence } : []));
  const deletes = accepted.flatMap(({ operation, sequence }) => (operation.type === 'delete' ? { itemId: operation.itemId, sequence } : []));
  if (puts.length > 0) for (const row of await putItems(statements, puts, now)) written.set(row.item_id, row);
  if (changes.length > 0) for (const row of await updateItems(statements, changes, now)) written.set(row.item_id, row);
  if (deletes.length > 0) for (const row of await deleteItems(statements, deletes)) written.set(row.item_id, row);
  const noted = accepted.filter(({ operation }) => written.has(itemIdOf(operation)));
  await noteChanges(statements, [
    ...noted.map(({ operation, sequence }): NotedChange => ({ sequence, kind: operation.type, key: itemIdOf(operation) })),
    ...attributes.map(({ name }): NotedChange => ({ sequence: sequences.first, kind: 'attribute', key: name })),
  ]);
  await putAttributes(statements, attributes);
  return { outcomes: operations.map((operation) => outcomeOf(operation, refusals.get(operation), written)), attributes };
}

/** As `writeItems`, in a transaction of its own; a registry that changes is locked. */
export async function inTransaction(
  transaction: <Value>(work: (statements: Statements) => Promise<Value>) => Promise<Value>,
  operations: readonly ItemOperation[],
): Promise<ItemsWritten> {
  try {
    return await transaction((statements) => writeItems(statements, operations, false));
  } catch (error) {
    if (error !== registryChanges) throw error;
    return transaction((statements) => writeItems(statements, operations, true));
  }
}

function outcomeOf(
  operation: ItemOperation,
  refusal: ReelfuseError | undefined,
  written: ReadonlyMap<string, { sequence: number; created_at?: number; created?: boolean }>,
): ItemOutcome {
  if (refusal !== undefined) return { refusal };
  const row = written.get(itemIdOf(operation));
  if (row === undefined) return { value: null };
  if (operation.type === 'delete') return { value: { sequence: row.sequence } };
  return { value: { sequence: row.sequence, created: row.created === true, created_at: row.created_at ?? UNKNOWN_TIME } };
}

/** Checks the attributes of all operations against the registry, in their order. */
async function admit(statements: Statements, operations: readonly ItemOperation[], changesRegistry: boolean) {
  const refusals = new Map<ItemOperation, ReelfuseError>();
  const attributes = new Map<string, KnownAttribute>();
  const carried = operations.flatMap((operation) => {
    if (operation.type === 'delete') return [];
    return { operation, attributes: (operation.type === 'put' ? operation.write.item : operation.item).attributes };
  });
  const names = new Set(carried.flatMap((one) => Object.keys(one.attributes)));
  await lockRegistry(statements, changesRegistry ? 'alone' : 'shared');
  const registry = new Map<string, KnownAttribute>();
  if (names.size > 0 || changesRegistry)
    for (const known of await readRegistry(statements, changesRegistry ? null : [...names])) registry.set(known.name, known);
  const now = Date.now();
  for (const one of carried) {
    try {
      for (const known of admitAttributes(registry, one.attributes, now)) {
        if (!changesRegistry) throw registryChanges;
        registry.set(known.name, known);
        attributes.set(known.name, known);
      }
    } catch (error) {
      if (!(error instanceof ReelfuseError)) throw error;
      refusals.set(one.operation, error);
    }
  }
  return { refusals, attributes: [...attributes.values()] };
}

interface WrittenRow {
  item_id: string;
  sequence: number;
  created_at: number;
  created: boolean;
}

/** In the order of the ids: two servers that write the same items wait for each other instead of blocking each other. */
const byId = <Write extends { item: ItemFields }>(writes: readonly Write[]): Write[] =>
  [...writes].sort((a, b) => (a.item.item_id < b.item.item_id ? -1 : 1));

const column = <Of, Value>(list: readonly Of[], of: (one: Of) => Value): Value[] => list.map(of);

const fieldColumns = (writes: readonly { item: ItemFields; sequence: number }[], now: number): unknown[] => [
  column(writes, ({ item }) => item.item_id),
  column(writes, ({ item }) => item.title),
  column(writes, ({ item }) => item.author_id),
  column(writes, ({ item }) => JSON.stringify(item.attributes)),
  column(writes, ({ item }) => item.available_from),
  column(writes, ({ item }) => item.expires_at),
  column(writes, ({ item }) => item.hidden),
  column(writes, ({ sequence }) => sequence),
  now,
];
const SENT = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[])`;
const SENT_COLUMNS = 'item_id, title, author_id, attributes, available_from, expires_at, hidden, sequence';

type SequencedPut = ItemWrite & { sequence: number };

async function putItems(statements: Statements, writes: readonly SequencedPut[], now: number): Promise<WrittenRow[]> {
  const puts = byId(writes);
  const ids = column(puts, ({ item }) => item.item_id);
  // a transaction that began earlier may write later: the sequence of an item rises all the same
  const { rows } = await statements.query<WrittenRow>(
    `INSERT INTO items (${SENT_COLUMNS}, created_at, updated_at)
     SELECT s.*, $9::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[], $10::bigint[])
       AS s (${SENT_COLUMNS}, created_at)
     ON CONFLICT (item_id) DO UPDATE SET title = excluded.title, author_id = excluded.author_id, attributes = excluded.attributes,
       available_from = excluded.available_from, expires_at = excluded.expires_at, hidden = excluded.hidden, updated_at = excluded.updated_at,
       sequence = greatest(excluded.sequence, items.sequence + 1)
     RETURNING item_id, sequence, created_at, xmax = 0 AS created`,
    [...fieldColumns(puts, now), column(puts, ({ isImport }) => (isImport === true ? UNKNOWN_TIME : now))],
  );
  await statements.query('DELETE FROM tombstones WHERE item_id = ANY ($1)', [ids]);
  await statements.query('DELETE FROM vectors WHERE item_id = ANY ($1)', [ids]);
  await putStates(statements, puts);
  const vectors = puts.flatMap(({ item, vectors }) => vectors.map((vector) => ({ item_id: item.item_id, ...vector })));
  if (vectors.length > 0) await saveVectors(statements, vectors);
  return rows;
}

async function putStates(statements: Statements, puts: readonly SequencedPut[]): Promise<void> {
  const without = puts.filter(({ hiddenStates }) => hiddenStates === null);
  if (without.length > 0) await statements.query('DELETE FROM hidden_states WHERE item_id = ANY ($1)', [column(without, ({ item }) => item.item_id)]);
  const states = puts.flatMap(({ item, hiddenStates }) => (hiddenStates === null ? [] : { item_id: item.item_id, ...hiddenStates }));
  if (states.length === 0) return;
  await statements.query(
    `INSERT INTO hidden_states (item_id, dtype, layers, width, data, checksum)
     SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::bytea[], $6::bigint[])
     ON CONFLICT (item_id) DO UPDATE SET dtype = excluded.dtype, layers = excluded.layers, width = excluded.width, data = excluded.data,
       checksum = excluded.checksum`,
    [
      column(states, (one) => one.item_id),
      column(states, (one) => one.dtype),
      column(states, (one) => one.shape[0]),
      column(states, (one) => one.shape[1]),
      column(states, (one) => bufferOf(one.data)),
      column(states, (one) => checksumOf(one.data, one.item_id)),
    ],
  );
}

async function updateItems(statements: Statements, changes: readonly { item: ItemFields; sequence: number }[], now: number): Promise<WrittenRow[]> {
  const { rows } = await statements.query<WrittenRow>(
    `UPDATE items i SET title = s.title, author_id = s.author_id, attributes = s.attributes, available_from = s.available_from,
       expires_at = s.expires_at, hidden = s.hidden, updated_at = $9::bigint, sequence = greatest(s.sequence, i.sequence + 1)
     FROM ${SENT} AS s (${SENT_COLUMNS}) WHERE i.item_id = s.item_id
     RETURNING i.item_id, i.sequence, i.created_at, false AS created`,
    fieldColumns(byId(changes), now),
  );
  return rows;
}

async function deleteItems(
  statements: Statements,
  deletes: readonly { itemId: string; sequence: number }[],
): Promise<{ item_id: string; sequence: number }[]> {
  const { rows } = await statements.query<{ item_id: string; sequence: number }>(
    `WITH gone AS (DELETE FROM items i USING unnest($1::text[], $2::bigint[]) AS s (item_id, sequence) WHERE i.item_id = s.item_id
       RETURNING i.item_id, greatest(s.sequence, i.sequence + 1) AS sequence)
     INSERT INTO tombstones (item_id, sequence) SELECT item_id, sequence FROM gone
     ON CONFLICT (item_id) DO UPDATE SET sequence = excluded.sequence RETURNING item_id, sequence`,
    [column(deletes, ({ itemId }) => itemId), column(deletes, ({ sequence }) => sequence)],
  );
  return rows;
}

const bufferOf = (data: Uint8Array | Float32Array): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

type VectorOfItem = StoredVector & { item_id: string; fingerprint: string; sequence?: number };

/** Only while the item is unchanged: it may have been deleted, or got other hidden states, while its vector was fused. */
export async function saveVectors(statements: Statements, vectors: readonly VectorOfItem[]): Promise<void> {
  const blobs = vectors.map(({ vector }) => bufferOf(vector));
  await statements.query(
    `INSERT INTO vectors (fingerprint, item_id, id_share, vector, checksum)
     SELECT s.fingerprint, s.item_id, s.id_share, s.vector, s.checksum
     FROM unnest($1::text[], $2::text[], $3::double precision[], $4::bytea[], $5::bigint[], $6::bigint[])
       AS s (fingerprint, item_id, id_share, vector, checksum, up_to)
     JOIN items i ON i.item_id = s.item_id AND (s.up_to IS NULL OR i.sequence <= s.up_to) ORDER BY s.fingerprint, s.item_id
     ON CONFLICT (fingerprint, item_id) DO UPDATE SET id_share = excluded.id_share, vector = excluded.vector, checksum = excluded.checksum`,
    [
      column(vectors, (one) => one.fingerprint),
      column(vectors, (one) => one.item_id),
      column(vectors, (one) => one.id_share),
      blobs,
      vectors.map((one, n) => checksumOf(blobs[n] as Buffer, one.fingerprint, one.item_id)), // [vectors], as blobs
      column(vectors, (one) => one.sequence ?? null),
    ],
  );
}

/** The newest of each item: one statement cannot write a row twice. */
export const newestOfEach = (vectors: readonly FusedItem[]): FusedItem[] => [...new Map(vectors.map((one) => [one.item_id, one])).values()];
