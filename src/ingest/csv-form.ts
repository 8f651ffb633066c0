import { closeSync, openSync, readSync } from 'node:fs';
import type { Options } from 'csv-parse';
import { MAX_LINE_BYTES } from '../byte-lines.js';
import { InputError, messageOf } from '../errors.js';

/** Bytes of a file that tell its form: the header of a CSV file is shorter. */
const HEAD_BYTES = 64 * 1024;
const QUOTE = 0x22;
const NEWLINE = 0x0a;
/** What separates cells; the one that the header has most often. European Excel writes semicolons. */
const SEPARATORS = [',', ';', '\t'] as const;

/**
 * How a file of text is to be read, by its first bytes: from behind a byte order mark, and how its cells are separated if it is CSV. Cells come
 * as bytes: decoding would hide those that are not UTF-8.
 * @throws InputError when the file cannot be read or is UTF-16, as Excel's "Unicode text"
 */
export function textForm(file: string): { start: number; csv: Options } {
  const head = headOf(file);
  const [first, second] = head;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new InputError(`${file}: is UTF-16 text: save it as UTF-8 (in Excel: "CSV UTF-8")`);
  const start = head.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
  return {
    start,
    csv: {
      encoding: null,
      delimiter: separatorOf(head.subarray(start)),
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: MAX_LINE_BYTES,
    },
  };
}

const BOM = Buffer.from('\ufeff');

function headOf(file: string): Buffer {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      return head.subarray(0, readSync(descriptor, head, 0, HEAD_BYTES, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new InputError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function separatorOf(head: Buffer): string {
  const counts = new Map<number, number>();
  let isQuoted = false;
  for (const byte of head) {
    if (byte === QUOTE) isQuoted = !isQuoted;
    else if (byte === NEWLINE && !isQuoted) break;
    else if (!isQuoted) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  }
  const countOf = (separator: string): number => counts.get(separator.charCodeAt(0)) ?? 0;
  return SEPARATORS.reduce((most, separator) => (countOf(separator) > countOf(most) ? separator : most));
}
