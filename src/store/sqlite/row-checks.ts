import type Database from 'better-sqlite3';
import { messageOf } from '../../errors.js';
import { storageFaultOf } from '../../storage-faults.js';
import type { RowPlace } from '../storage-health.js';
import type { CheckedRows, DamagedRow } from '../store-check.js';
import { isSound } from '../checksum.js';
import { prepareStatesRead } from './states-read.js';

/** Bounds of one call: a reader of an older state holds up the truncation of the write-ahead log. */
const MAX_ROWS = 500;
const MAX_BYTES = 1024 * 1024;

type Row = Record<string, unknown>;

/** A table, or an index that requests read, in the order of a unique key. */
interface Walk {
  table: string;
  /** With INDEXED BY for an index. */
  source: string;
  key: readonly string[];
  /** What is read of each row. */
  columns: string;
  where?: string;
  /** What is wrong with the row; null: nothing. */
  problemOf?: (row: Row) => string | null;
}

const table = (name: string, ...key: string[]): Walk => ({ table: name, source: name, key, columns: '*' });
const eventIndex = (name: string, where: string): Walk => ({
  table: 'events',
  source: `events INDEXED BY ${name}`,
  key: ['user_id', 'at', 'sequence'],
  columns: 'item_id, type',
  where,
});

/** Of hidden states the keys only: each row is read by itself, so that one with damaged pages does not hide the next. */
const STATES: Walk = { table: 'hidden_states', source: 'hidden_states', key: ['item_id'], columns: 'item_id' };

const WALKS: readonly Walk[] = [
  { ...table('items', 'item_id'), problemOf: ({ attributes }) => (isObject(attributes as string) ? null : 'its attributes are no JSON') },
  STATES,
  {
    ...table('vectors', 'fingerprint', 'item_id'),
    problemOf: (row) =>
      isSound(row.checksum as number | null, row.vector as Buffer, row.fingerprint as string, row.item_id as string)
        ? null
        : 'its checksum does not hold',
  },
  table('events', 'sequence'),
  table('tombstones', 'item_id'),
  table('attributes', 'name'),
  table('kept_answers', 'key'),
  table('models', 'fingerprint'),
  table('meta', 'key'),
  { table: 'items', source: 'items INDEXED BY items_by_sequence', key: ['sequence', 'item_id'], columns: 'item_id' },
  eventIndex('met_by_user', `type <> 'impression'`),
  eventIndex('positives_by_user', 'positive = 1'),
];

function isObject(text: string): boolean {
  try {
    return JSON.parse(text) !== null;
  } catch {
    return false;
  }
}

interface Position {
  walk: number;
  /** Key of the last row; null: none was read. */
  after: unknown[] | null;
}

export interface RowChecks {
  /** See StoreCheck. */
  next(position: string | null): CheckedRows;
  isSound(row: RowPlace): boolean;
}

export function prepareRowChecks(database: Database.Database): RowChecks {
  const statementOf = ({ source, key, columns, where }: Walk, isFirst: boolean) => {
    const names = key.join(', ');
    const later = isFirst ? [] : [`(${names}) > (${key.map(() => '?').join(', ')})`];
    const conditions = [...(where === undefined ? [] : [where]), ...later];
    return database.prepare<unknown[], Row>(
      `SELECT ${columns}, ${names} FROM ${source} ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`} ORDER BY ${names} LIMIT ${MAX_ROWS}`,
    );
  };
  const statements = WALKS.map((walk) => [statementOf(walk, true), statementOf(walk, false)] as const);
  const readStates = prepareStatesRead(database);
  const attributes = database.prepare<[string], string>('SELECT attributes FROM items WHERE item_id = ?').pluck();
  const vectors = database.prepare<[string], { fingerprint: string; vector: Buffer; checksum: number | null }>(
    'SELECT fingerprint, vector, checksum FROM vectors WHERE item_id = ?',
  );

  const checkRow = (walk: Walk, row: Row): { problem: string | null; bytes: number } => {
    if (walk !== STATES) return { problem: walk.problemOf?.(row) ?? null, bytes: sizeOf(row) };
    const { row: states, problem } = readStates(row.item_id as string);
    return { problem, bytes: states?.data.byteLength ?? 0 };
  };

  return {
    next: (position) => {
      const { walk: number, after } = position === null ? { walk: 0, after: null } : (JSON.parse(position) as Position);
      const walk = WALKS[number];
      const statement = statements[number]?.[after === null ? 0 : 1];
      const checked: CheckedRows = { position: null, rows: 0, bytes: 0, damaged: [], unreadable: null };
      if (walk === undefined || statement === undefined) return checked; // written by a version with more tables
      let last = after;
      let isWhole = true;
      try {
        for (const row of statement.iterate(...(after ?? []))) {
          const { problem, bytes } = checkRow(walk, row);
          last = walk.key.map((column) => row[column]);
          checked.rows++;
          checked.bytes += bytes;
          if (problem !== null) checked.damaged.push(damagedRow(walk, row, problem));
          if (checked.bytes < MAX_BYTES) continue;
          isWhole = false;
          break;
        }
      } catch (error) {
        if (storageFaultOf(error) !== 'damaged') throw error;
        checked.unreadable = `${walk.source}: ${messageOf(error)}`;
      }
      const isDone = checked.unreadable !== null || (isWhole && checked.rows < MAX_ROWS);
      if (!isDone) checked.position = JSON.stringify({ walk: number, after: last } satisfies Position);
      else if (number + 1 < WALKS.length) checked.position = JSON.stringify({ walk: number + 1, after: null } satisfies Position);
      return checked;
    },
    isSound: ({ table: name, key }) => {
      if (name === 'hidden_states') return readStates(key).problem === null;
      if (name === 'items') {
        const text = attributes.get(key);
        return text === undefined || isObject(text);
      }
      return vectors.all(key).every(({ fingerprint, vector, checksum }) => isSound(checksum, vector, fingerprint, key));
    },
  };
}

/** Vectors are told by their item: they are made again together. */
const damagedRow = ({ table: name, key }: Walk, row: Row, detail: string): DamagedRow => ({
  table: name,
  key: String(row[key.at(-1) ?? '']),
  detail,
});

const sizeOf = (row: Row): number =>
  Object.values(row).reduce(
    (sum: number, value) => sum + (typeof value === 'string' ? value.length : Buffer.isBuffer(value) ? value.byteLength : 8),
    0,
  );
