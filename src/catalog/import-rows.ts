import { createReadStream, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parse } from 'csv-parse';
import { InputError, messageOf, type FieldError } from '../errors.js';
import type { Store } from '../store/store.js';

/** Rows written together; a crash repeats at most this many, which does no harm: rows are idempotent. */
const WINDOW = 256;

export interface RejectedRow {
  /** 1-based line, or record of a CSV file. */
  row: number;
  errors: FieldError[];
}

export interface ImportReport {
  read: number;
  imported: number;
  /** Rows that an earlier, interrupted import of the same file had finished. */
  resumedAfter: number;
  rejected: RejectedRow[];
}

export interface ImportProgress {
  /** Called as the file is read. */
  onProgress?: (bytes: number, total: number) => void;
  onRejected?: (rejected: RejectedRow) => void;
}

/** One row of a file: a parsed value, or why it is not one. */
export type Row = { value: unknown } | { errors: FieldError[] };

/**
 * Feeds the rows of a file to `write`, a window at a time, and remembers how far it came: the same file imported
 * again goes on where it stopped; a changed file starts anew.
 * @param write resolves to the row's errors; null when it has landed
 */
export async function importRows(
  kind: string,
  file: string,
  store: Pick<Store, 'meta' | 'setMeta'>,
  write: (row: unknown, number: number) => Promise<FieldError[] | null>,
  { onProgress, onRejected }: ImportProgress = {},
): Promise<ImportReport> {
  const { size, mtimeMs } = statOf(file);
  const key = `import:${kind}:${resolve(file)}:${size}:${mtimeMs}`;
  const resumedAfter = Number(store.meta(key) ?? 0);
  const report: ImportReport = { read: 0, imported: 0, resumedAfter, rejected: [] };
  let pending: Promise<void>[] = [];
  const land = async (row: Row, number: number): Promise<void> => {
    const errors = 'errors' in row ? row.errors : await write(row.value, number);
    if (errors === null) report.imported++;
    else {
      const rejected = { row: number, errors };
      report.rejected.push(rejected);
      onRejected?.(rejected);
    }
  };
  for await (const { row, bytes } of rowsOf(file)) {
    report.read++;
    if (report.read <= resumedAfter) continue;
    pending.push(land(row, report.read));
    if (pending.length < WINDOW) continue;
    await Promise.all(pending);
    pending = [];
    await store.setMeta(key, String(report.read));
    onProgress?.(bytes, size);
  }
  await Promise.all(pending);
  await store.setMeta(key, String(report.read));
  onProgress?.(size, size);
  return report;
}

function statOf(file: string) {
  try {
    return statSync(file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function* rowsOf(file: string): AsyncGenerator<{ row: Row; bytes: number }> {
  const input = createReadStream(file);
  if (file.endsWith('.csv')) {
    const records = input.pipe(parse({ columns: true, bom: true, skip_empty_lines: true, relax_column_count: true }));
    try {
      for await (const record of records) yield { row: { value: record as unknown }, bytes: input.bytesRead };
    } catch (error) {
      throw new InputError(`${file}: is not CSV: ${messageOf(error)}`, { cause: error });
    }
    return;
  }
  const isJson = file.endsWith('.jsonl') || file.endsWith('.ndjson');
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line !== '') yield { row: isJson ? jsonRow(line) : { value: line }, bytes: input.bytesRead };
  }
}

function jsonRow(line: string): Row {
  try {
    return { value: JSON.parse(line) as unknown };
  } catch (error) {
    return { errors: [{ pointer: '', detail: `is not JSON: ${messageOf(error)}` }] };
  }
}
