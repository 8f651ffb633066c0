import { createReadStream, type ReadStream } from 'node:fs';
import { parse, type Options } from 'csv-parse';
import { fileLines } from '../byte-lines.js';
import { InputError, messageOf, type FieldError } from '../errors.js';
import type { KeyValueStore } from '../store/key-values.js';
import { firstBadByte, utf8Text } from '../utf8.js';
import { textForm } from './csv-form.js';
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
  /** Called before the progress of a window is stored: rows that `onRejected` was given do not come again. */
  onWindow?: () => void;
  /** Called between two windows; true stops the import. */
  isStopped?: () => boolean;
  /** Reads the file from its first row, even when an earlier import was interrupted. */
  fromStart?: boolean;
}

/** One row of a file: a parsed value, or why it is not one. */
export type Row = { value: unknown } | { errors: FieldError[] };

export const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

export interface RowImport {
  /** Name of what is imported. The same file imported under another name starts from its first row. */
  kind: string;
  file: string;
  /** Resolves to the errors of the row; null when it was written. */
  write: (row: unknown, number: number) => Promise<FieldError[] | null>;
  /** @throws InputError when no row of a CSV file with these columns can be right */
  checkHeader?: (columns: readonly string[]) => void;
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
  { kind, file, write, checkHeader, skip }: RowImport,
  keyValues: KeyValueStore,
  { onProgress, onRejected, onWindow, isStopped, fromStart = false }: ImportProgress = {},
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
    onWindow?.();
    const reached: Position = { rows: count, rejected: report.rejectedRows };
    await keyValues.set(key, JSON.stringify(reached));
    onProgress?.(bytes, size);
  };
  for await (const { read, number, bytes } of rowsOf(file, checkHeader)) {
    count++;
    if (count <= report.resumedAfter) {
      if (skip !== undefined) visit(read(), skip);
      continue;
    }
    pending.push(land(read(), number));
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

interface FileRow {
  /** Parses the row; skipped rows cost no parsing. */
  read: () => Row;
  /** 1-based line, or record of a CSV file. */
  number: number;
  /** Read so far. */
  bytes: number;
}

/** Ending of a file's name, in small letters. */
export const endingOf = (file: string): string => /\.([^./\\]+)$/.exec(file)?.[1]?.toLowerCase() ?? '';

async function* rowsOf(file: string, checkHeader: RowImport['checkHeader']): AsyncGenerator<FileRow> {
  const { start, csv } = textForm(file);
  const input = createReadStream(file, { start });
  try {
    if (endingOf(file) === 'csv') yield* recordsOf(file, input, csv, checkHeader);
    else yield* linesOf(file, input);
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  } finally {
    input.destroy();
  }
}

async function* recordsOf(file: string, input: ReadStream, options: Options, checkHeader: RowImport['checkHeader']): AsyncGenerator<FileRow> {
  let header: string[] | null = null;
  let number = 0;
  try {
    for await (const record of input.pipe(parse(options))) {
      const cells = record as Buffer[];
      if (header !== null) {
        number++;
        yield { read: csvRow.bind(null, header, cells), number, bytes: input.bytesRead };
        continue;
      }
      header = headerOf(file, cells);
      checkHeader?.(header);
    }
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(`${file}: is not CSV: ${messageOf(error)}`, { cause: error });
  }
}

async function* linesOf(file: string, input: ReadStream): AsyncGenerator<FileRow> {
  const isJson = endingOf(file) !== 'tsv';
  for await (const { row, bytes } of fileLines(file, input)) yield { read: () => lineRow(bytes, isJson), number: row + 1, bytes: input.bytesRead };
}

function lineRow(bytes: Buffer, isJson: boolean): Row {
  const text = utf8Text(bytes);
  if (text === null) return { errors: [{ pointer: '', detail: `is not UTF-8 (byte ${firstBadByte(bytes)} of the line)` }] };
  return isJson ? jsonRow(text) : { value: text };
}

/** @throws InputError when a column has no name, or that of another one: its cells would be lost */
function headerOf(file: string, cells: readonly Buffer[]): string[] {
  const names = cells.map((cell) => utf8Text(cell)?.trim());
  return names.map((name, column) => {
    if (name === undefined) throw new InputError(`${file}: the name of column ${column + 1} is not UTF-8: save the file as CSV in UTF-8`);
    if (name === '') throw new InputError(`${file}: column ${column + 1} has no name`);
    if (names.indexOf(name) < column) throw new InputError(`${file}: columns ${names.indexOf(name) + 1} and ${column + 1} are both named ${name}`);
    return name;
  });
}

function csvRow(header: readonly string[], cells: readonly Buffer[]): Row {
  if (cells.length !== header.length)
    return { errors: [{ pointer: '', detail: `has ${cells.length} cells, the header has ${header.length}: is a cell not quoted?` }] };
  const record: Record<string, string> = {};
  for (const [column, name] of header.entries()) {
    const cell = cells[column] as Buffer; // as many as names
    const text = utf8Text(cell);
    if (text === null) return { errors: [{ pointer: '', detail: `is not UTF-8 (byte ${firstBadByte(cell)} of column ${name})` }] };
    record[name] = text;
  }
  return { value: record };
}

function jsonRow(line: string): Row {
  try {
    return { value: JSON.parse(line) as unknown };
  } catch (error) {
    return { errors: [{ pointer: '', detail: `is not JSON: ${messageOf(error)}` }] };
  }
}
