import { statSync } from 'node:fs';
import { InputError } from '../errors.js';
import type { Stores } from '../store/stores.js';
import type { Features } from './features.js';
import { openFeaturesFile } from './features-file.js';
import { openFeaturesFolder } from './features-folder.js';
import { importRows, type ImportProgress, type ImportReport } from './import-rows.js';
import { parseItemRow, type ExpectedShape } from './item-input.js';

/**
 * Opens hidden states of many items.
 * @param path a safetensors file, or the folder of an extraction
 * @param expected the shape that the model wants; null when no model is known yet
 * @throws InputError naming the file and what does not fit
 */
export function openFeatures(path: string, expected: ExpectedShape | null): Features {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? openFeaturesFolder(path, expected) : openFeaturesFile(path, expected);
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

/**
 * Imports items from `.jsonl`, `.ndjson` or `.csv`, with hidden states from `features` or inline.
 * @throws InputError when the file cannot be read or has another ending
 */
export function importItems(
  file: string,
  features: Features | null,
  expected: ExpectedShape | null,
  stores: Pick<Stores, 'items' | 'keyValues'>,
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
        await stores.items.put({ item: parsed.fields, hiddenStates, vectors: [], isImport: true });
        return null;
      },
    },
    stores.keyValues,
    progress,
  );
}
