import { statSync } from 'node:fs';
import { InputError, ReelfuseError } from '../errors.js';
import type { Stores } from '../store/stores.js';
import type { Features } from './features.js';
import { openFeaturesFile } from './features-file.js';
import { openFeaturesFolder } from './features-folder.js';
import { endingOf, importRows, type ImportProgress, type ImportReport } from './import-rows.js';
import { checkItemColumns, itemOfRecord } from './csv-cells.js';
import { withTimes } from './file-times.js';
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

/** Fields of an item that hold times. */
const TIMES = ['available_from', 'expires_at'];

/**
 * Imports items from `.jsonl`, `.ndjson` or `.csv`, with hidden states from `features` or inline.
 * @throws InputError when the file cannot be read or has another ending
 */
export async function importItems(
  file: string,
  features: Features | null,
  expected: ExpectedShape | null,
  stores: Pick<Stores, 'items' | 'keyValues'>,
  progress?: ImportProgress,
): Promise<ImportReport> {
  if (!['jsonl', 'ndjson', 'csv'].includes(endingOf(file))) throw new InputError(`${file}: items are read from .jsonl, .ndjson or .csv`);
  const isCsv = endingOf(file) === 'csv';
  let without = 0;
  const report = await importRows(
    {
      kind: features === null ? 'items' : `items with ${features.source}`,
      file,
      checkHeader: (columns) => checkItemColumns(file, columns),
      write: async (value) => {
        const row = withTimes(isCsv ? itemOfRecord(value as Record<string, string>) : { value }, TIMES);
        if ('errors' in row) return row.errors;
        const parsed = parseItemRow(row.value, '', expected);
        if (Array.isArray(parsed)) return parsed;
        let { hiddenStates } = parsed;
        try {
          hiddenStates ??= features?.read(parsed.fields.item_id) ?? null;
        } catch (error) {
          if (error instanceof InputError) return [{ pointer: '/hidden_states', detail: error.message }];
          throw error;
        }
        if (features !== null && hiddenStates === null) without++;
        try {
          await stores.items.put({ item: parsed.fields, hiddenStates, vectors: [], isImport: true });
        } catch (error) {
          if (error instanceof ReelfuseError && error.code === 'invalid_request') return error.errors; // an attribute has another type than the declared one
          throw error;
        }
        return null;
      },
    },
    stores.keyValues,
    progress,
  );
  if (features === null || without === 0) return report;
  return { ...report, note: `${without} of these rows have no hidden states in ${features.source}: such an item is placed by its ID, or not at all` };
}
