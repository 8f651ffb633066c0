import { existsSync, readFileSync, statSync } from 'node:fs';
import { InputError } from '../errors.js';
import { openSafetensors, type Safetensors } from '../model/safetensors.js';
import type { HiddenStates, Store } from '../store/store.js';
import { openFeaturesFolder, type FeaturesFile } from './features-folder.js';
import { importRows, stateOf, type ImportProgress, type ImportReport } from './import-rows.js';
import { faultIn, isZero, parseItemRow, type ExpectedShape } from './item-input.js';

const TENSOR = 'hidden_states';

/** Hidden states of many items in a safetensors file, [N, L, D]. */
export interface Features {
  /** The file and its state. */
  source: string;
  shape: ExpectedShape;
  count: number;
  /** Null: the file has no row for the item, or one of zeros, which means the same. @throws InputError when its values cannot be right */
  read(itemId: string): HiddenStates | null;
  close(): void;
}

/**
 * @param path a safetensors file, or the folder of an extraction
 * @param expected the shape that the model wants; null when no model is known yet
 * @throws InputError naming the file and what does not fit
 */
export function openFeatures(path: string, expected: ExpectedShape | null): Features {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? openFeaturesFolder(path, expected, openFile) : openFile(path, expected);
}

function openFile(path: string, expected: ExpectedShape | null): FeaturesFile {
  const file = openSafetensors(path);
  try {
    const { dtype, shape } = file.info(TENSOR);
    const [count = 0, layers = 0, width = 0] = shape;
    if (shape.length !== 3) throw new InputError(`${path}: ${TENSOR} is [${shape.join(', ')}], wanted is [items, layers, hidden size]`);
    if (dtype !== 'F16' && dtype !== 'F32') throw new InputError(`${path}: ${TENSOR} is ${dtype}, wanted is F16 or F32`);
    if (expected !== null && (layers !== expected.layers || width !== expected.width)) {
      throw new InputError(`${path}: ${TENSOR} has ${layers} layers of ${width}, the model wants ${expected.layers} of ${expected.width}`);
    }
    const rows = idsOf(path, file, count);
    const type = dtype === 'F16' ? 'float16' : 'float32';
    return {
      source: stateOf(path),
      shape: { layers, width },
      count,
      read: (itemId) => {
        const row = rows.get(itemId);
        if (row === undefined) return null;
        const data = file.rows(TENSOR, row, 1);
        if (isZero(data)) return null;
        const states: HiddenStates = { dtype: type, shape: [layers, width], data };
        const fault = faultIn(states, expected);
        if (fault !== null) throw new InputError(`${path}: row ${row} (${itemId}) ${fault}`);
        return states;
      },
      itemIds: () => rows.keys(),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Item ids by row: the file's own metadata, else `<name>.ids.txt` beside it. */
function idsOf(path: string, file: Safetensors, count: number): Map<string, number> {
  const sidecar = path.replace(/\.safetensors$/, '.ids.txt');
  let ids: string[];
  if (file.metadata.item_ids !== undefined) ids = parseIds(path, file.metadata.item_ids);
  else if (existsSync(sidecar))
    ids = readFileSync(sidecar, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  else throw new InputError(`${path}: names no item ids: neither item_ids in its metadata nor ${sidecar}`);
  if (ids.length !== count) throw new InputError(`${path}: names ${ids.length} item ids for ${count} rows`);
  const rows = new Map<string, number>();
  ids.forEach((id, row) => {
    if (rows.has(id)) throw new InputError(`${path}: item ${id} has two rows, ${rows.get(id)} and ${row}`);
    rows.set(id, row);
  });
  return rows;
}

function parseIds(path: string, text: string): string[] {
  try {
    const ids: unknown = JSON.parse(text);
    if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids;
  } catch {
    // told below, as for any other text that is not a list of strings
  }
  throw new InputError(`${path}: the metadata item_ids is not a JSON list of strings`);
}

const FIELDS = new Set(['item_id', 'title', 'author_id', 'attributes', 'available_from', 'expires_at', 'hidden', 'hidden_states']);

/**
 * A CSV record as an item: known columns are fields, every other column is an attribute. `name:number`,
 * `name:boolean` and `name:list` (separated by |) give its type; empty cells are left out.
 */
export function itemOfRecord(record: Record<string, string>): Record<string, unknown> {
  const item: Record<string, unknown> = {};
  const attributes: Record<string, unknown> = {};
  for (const [column, cell] of Object.entries(record)) {
    if (cell.trim() === '') continue;
    if (column === 'item' || column === 'item_id') item.item_id = cell;
    else if (column === 'hidden') item.hidden = typed(cell, 'boolean');
    else if (FIELDS.has(column)) item[column] = cell;
    else {
      const [name = column, type = 'string'] = column.split(':');
      attributes[name] = typed(cell, type);
    }
  }
  return { ...item, attributes };
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function typed(cell: string, type: string): unknown {
  if (type === 'number' && DECIMAL.test(cell.trim()) && Number.isFinite(Number(cell))) return Number(cell);
  if (type === 'boolean' && (cell === 'true' || cell === 'false')) return cell === 'true';
  if (type === 'list') return cell.split('|');
  return type === 'string' ? cell : null; // null is refused by the schema, with the column's name
}

/** Imports `.jsonl`, `.ndjson` or `.csv` items, with their hidden states from `features` or inline. */
export function importItems(
  file: string,
  features: Features | null,
  expected: ExpectedShape | null,
  store: Store,
  progress?: ImportProgress,
): Promise<ImportReport> {
  if (!/\.(jsonl|ndjson|csv)$/.test(file)) throw new InputError(`${file}: items are read from .jsonl, .ndjson or .csv`);
  const isCsv = file.endsWith('.csv');
  return importRows(
    {
      kind: features === null ? 'items' : `items with ${features.source}`,
      file,
      write: async (value) => {
        const parsed = parseItemRow(isCsv ? itemOfRecord(value as Record<string, string>) : value, '', expected);
        if (Array.isArray(parsed)) return parsed;
        let { hiddenStates } = parsed;
        try {
          hiddenStates ??= features?.read(parsed.fields.item_id) ?? null;
        } catch (error) {
          if (error instanceof InputError) return [{ pointer: '/hidden_states', detail: error.message }];
          throw error;
        }
        await store.putItem({ item: parsed.fields, hiddenStates, vectors: [] });
        return null;
      },
    },
    store,
    progress,
  );
}
