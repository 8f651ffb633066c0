import type { ReadStream } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InputError } from './errors.js';

export interface ByteLine {
  /** Number of the line, from 0; blank lines count too. */
  row: number;
  /** Without the newline, and without blanks at both ends. */
  bytes: Buffer;
}

const NEWLINE = 10;
/** The byte order mark of UTF-8, which some programs begin a text with. */
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Blank lines that are passed over in one turn of the event loop. */
const BLANKS_A_TURN = 16_384;

/**
 * Lines of a stream as they arrive, without the blank ones. Only LF ends a line, in whatever encoding the text is thought to be: U+2028 and
 * the like stay within it. A byte order mark before the first line is dropped. Only one line is in memory.
 * @param tooLong makes the error of a line of more than `maxBytes`
 * @param onRow told the number of the line that is read
 */
export async function* byteLines(
  source: AsyncIterable<Buffer>,
  maxBytes: number,
  tooLong: (row: number) => Error,
  onRow: (row: number) => void = () => undefined,
): AsyncGenerator<ByteLine> {
  let row = 0;
  let blanks = 0;
  let pieces: Buffer[] = [];
  let size = 0;
  const add = (piece: Buffer): void => {
    size += piece.length;
    if (size > maxBytes) throw tooLong(row);
    if (piece.length > 0) pieces.push(piece);
  };
  const take = (): ByteLine => {
    const [first = NOTHING] = pieces;
    const whole = pieces.length <= 1 ? first : Buffer.concat(pieces, size);
    const line = { row, bytes: trimmed(row === 0 && whole.subarray(0, 3).equals(MARK) ? whole.subarray(3) : whole) };
    pieces = [];
    size = 0;
    onRow(++row);
    return line;
  };
  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (end > from) add(chunk.subarray(from, end));
      from = end + 1;
      const line = take();
      if (line.bytes.length > 0) yield line;
      else if (++blanks % BLANKS_A_TURN === 0) await nextTurn();
    }
    add(chunk.subarray(from));
  }
  const last = take();
  if (last.bytes.length > 0) yield last;
}

/** Maximum size of a line of a file, or of a record of a CSV file, bytes. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** Lines of a file, as `byteLines`. @throws InputError that names the file and the line, when it is longer than MAX_LINE_BYTES */
export const fileLines = (file: string, input: ReadStream): AsyncGenerator<ByteLine> =>
  byteLines(input, MAX_LINE_BYTES, (row) => new InputError(`${file}:${row + 1}: is longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB`));

const NOTHING = Buffer.alloc(0);

/** Without spaces, tabs and carriage returns at both ends. */
function trimmed(bytes: Buffer): Buffer {
  let start = 0;
  let end = bytes.length;
  while (start < end && isBlank(bytes[start])) start++;
  while (end > start && isBlank(bytes[end - 1])) end--;
  return bytes.subarray(start, end);
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;
