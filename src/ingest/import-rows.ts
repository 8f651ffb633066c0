import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parse } from 'csv-parse';
import { InputError, messageOf, type FieldError } from '../errors.js';
import type { KeyValueStore } from '../store/key-values.js';
import { fileVersion, statOf } from './file-version.js';

/** Rows written together. After a crash at most this number of rows is written again, which is harmless: rows are idempotent. */
const WINDOW = 256;

export interface RejectedRow {
  /** 1-based line, or record of a CSV file. */
  row: number;
  errors: FieldError[];
}

export interface ImportReport {
  /** Rows that this import has written. */
  imported: number;
  /** Rows that an earlier, interrupted import of the same file had finished. */
  resumedAfter: number;
  /** The first 100 rows that this import has rejected. */
  rejected: RejectedRow[];
  /** Rejected rows of the file so far, including those before an interruption. */
  rejectedRows: number;
  /** False: the import was stopped; the next import of the same file continues there. */
  isComplete: boolean;
  /** What the file lacks, in words. */
  note?: string;
}

export interface ImportProgress {
  /** Called as the file is read. */
  onProgress?: (bytes: number, total: number) => void;
  onRejected?: (rejected: RejectedRow) => void;
  /** Called between two windows; true stops the import. */
  isStopped?: () => boolean;
  /** Reads the file from its first row, even when an earlier import was interrupted. */
  fromStart?: boolean;
}

/** One row of a file: a parsed value, or why it is not one. */
export type Row = { value: unknown } | { errors: FieldError[] };

export interface RowImport {
  /** Name of what is imported. The same file imported under another name starts from its first row. */
  kind: string;
  file: string;
  /** Resolves to the errors of the row; null when it was written. */
  write: (row: unknown, number: number) => Promise<FieldError[] | null>;
  /** Called for each row that an earlier import has written. */
  skip?: (row: unknown) => void;
}

/** Progress of an import. The store gets it after the rows that it counts. */
interface Position {
  rows: number;
  rejected: number;
}

/** Rejected rows kept in the report; `onRejected` gets every one. */
const KEPT_REJECTS = 100;

/**
 * Passes the rows of a file to `write`, one window at a time, and stores its progress. The next import of the same file continues there.
 * @throws InputError when the file cannot be read or is not CSV
 */
export async function importRows(
  { kind, file, write, skip }: RowImport,
  keyValues: KeyValueStore,
  { onProgress, onRejected, isStopped, fromStart = false }: ImportProgress = {},
): Promise<ImportReport> {
  const { size } = statOf(file);
  const key = `import position:${kind}:${fileVersion(file)}`;
  const position = fromStart ? { rows: 0, rejected: 0 } : positionOf(await keyValues.get(key));
  const report: ImportReport = { imported: 0, resumedAfter: position.rows, rejected: [], rejectedRows: position.rejected, isComplete: false };
  let pending: Promise<void>[] = [];
  let count = 0;
  const land = async (row: Row, number: number): Promise<void> => {
    const errors = 'errors' in row ? row.errors : await write(row.value, number);
    if (errors === null) report.imported++;
    else {
      const rejected = { row: number, errors };
      report.rejectedRows++;
      if (report.rejected.length < KEPT_REJECTS) report.rejected.push(rejected);
      onRejected?.(rejected);
    }
  };
  const settle = async (bytes: number): Promise<void> => {
    await Promise.all(pending);
    pending = [];
    const reached: Position = { rows: count, rejected: report.rejectedRows };
    await keyValues.set(key, JSON.stringify(reached));
    onProgress?.(bytes, size);
  };
  for await (const { read, bytes } of rowsOf(file)) {
    count++;
    if (count <= report.resumedAfter) {
      if (skip !== undefined) visit(read(), skip);
      continue;
    }
    pending.push(land(read(), count));
    if (pending.length < WINDOW) continue;
    await settle(bytes);
    if (isStopped?.() === true) return report;
  }
  await settle(size);
  return { ...report, isComplete: true };
}

function visit(row: Row, skip: (value: unknown) => void): void {
  if ('value' in row) skip(row.value);
}

const positionOf = (text: string | null): Position => (text === null ? { rows: 0, rejected: 0 } : (JSON.parse(text) as Position)); // written above

/** Rows of a file. `read` parses a row, so skipped rows cost no parsing. */
async function* rowsOf(file: string): AsyncGenerator<{ read: () => Row; bytes: number }> {
  const input = createReadStream(file);
  if (file.endsWith('.csv')) {
    const records = input.pipe(parse({ bom: true, skip_empty_lines: true, relax_column_count: true }));
    let header: string[] | null = null;
    try {
      for await (const record of records) {
        const cells = record as string[];
        if (header === null) header = headerOf(file, cells);
        else yield { read: csvRow.bind(null, header, cells), bytes: input.bytesRead };
      }
    } catch (error) {
      throw error instanceof InputError ? error : new InputError(`${file}: is not CSV: ${messageOf(error)}`, { cause: error });
    } finally {
      input.destroy();
    }
    return;
  }
  const isJson = file.endsWith('.jsonl') || file.endsWith('.ndjson');
  let isFirst = true;
  for await (const read of createInterface({ input, crlfDelay: Infinity })) {
    const line: string = isFirst ? read.replace(BOM, '') : read;
    isFirst = false;
    if (line.trim() !== '') yield { read: () => (isJson ? jsonRow(line) : { value: line }), bytes: input.bytesRead };
  }
}

const BOM = /^\ufeff/;

/** @throws InputError when a column has no name, or that of another one: its cells would be lost */
function headerOf(file: string, cells: readonly string[]): string[] {
  const names = cells.map((cell) => cell.trim());
  names.forEach((name, column) => {
    if (name === '') throw new InputError(`${file}: column ${column + 1} has no name`);
    if (names.indexOf(name) < column) throw new InputError(`${file}: columns ${names.indexOf(name) + 1} and ${column + 1} are both named ${name}`);
  });
  return names;
}

function csvRow(header: readonly string[], cells: readonly string[]): Row {
  if (cells.length !== header.length)
    return { errors: [{ pointer: '', detail: `has ${cells.length} cells, the header has ${header.length}: is a comma not quoted?` }] };
  return { value: Object.fromEntries(header.map((name, column) => [name, cells[column]])) };
}

function jsonRow(line: string): Row {
  try {
    return { value: JSON.parse(line) as unknown };
  } catch (error) {
    return { errors: [{ pointer: '', detail: `is not JSON: ${messageOf(error)}` }] };
  }
}
