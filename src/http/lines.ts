import { ReelfuseError, messageOf } from '../errors.js';

export interface Line {
  /** Number of the line, from 0; blank lines count too. */
  row: number;
  text: string;
}

const NEWLINE = 10;

const stopAt = (status: number, code: string, row: number, detail: string): ReelfuseError =>
  new ReelfuseError(status, code, detail, { errors: [{ pointer: `/${row}`, detail }] });

const megabytes = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;

/**
 * Lines of a stream as they arrive, without the blank ones. Only one line is in memory, at most `maxBytes` of it.
 * @throws ReelfuseError 413 `row_too_large`, 400 `stream_broken`; the pointer names the first row that was not read
 */
export async function* linesOf(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line> {
  let row = 0;
  let pieces: Buffer[] = [];
  let bytes = 0;
  const add = (piece: Buffer): void => {
    bytes += piece.length;
    if (bytes > maxBytes)
      throw stopAt(413, 'row_too_large', row, `is longer than the ${megabytes(maxBytes)} of a row; it and what follows was not read`);
    pieces.push(piece);
  };
  const take = (): Line => {
    const line = { row: row++, text: Buffer.concat(pieces, bytes).toString('utf8').trim() };
    pieces = [];
    bytes = 0;
    return line;
  };
  try {
    for await (const chunk of source) {
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        add(chunk.subarray(from, end));
        from = end + 1;
        const line = take();
        if (line.text !== '') yield line;
      }
      add(chunk.subarray(from));
    }
  } catch (error) {
    if (error instanceof ReelfuseError) throw error;
    throw stopAt(400, 'stream_broken', row, `the body broke off here: ${messageOf(error)}; this row and what follows was not read`);
  }
  const last = take();
  if (last.text !== '') yield last;
}

/**
 * The first `limit` lines.
 * @param wayOut what the caller can do instead, for the error
 * @throws ReelfuseError 413 `too_many_rows` when there are more
 */
export async function* atMost(limit: number, lines: AsyncIterable<Line>, wayOut: string): AsyncGenerator<Line> {
  let count = 0;
  for await (const line of lines) {
    if (count++ === limit)
      throw stopAt(413, 'too_many_rows', line.row, `is row number ${limit + 1} of ${limit}; it and what follows was not read: ${wayOut}`);
    yield line;
  }
}
