import { byteLines, type ByteLine } from '../byte-lines.js';
import { ReelfuseError, messageOf } from '../errors.js';

const stopAt = (status: number, code: string, row: number, detail: string): ReelfuseError =>
  new ReelfuseError(status, code, detail, { errors: [{ pointer: `/${row}`, detail }] });

const megabytes = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;

/**
 * Lines of a stream as they arrive, without the blank ones. Only one line is in memory, at most `maxBytes` of it.
 * @throws ReelfuseError 413 `row_too_large`, 400 `stream_broken`; the pointer names the first row that was not read
 */
export async function* linesOf(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<ByteLine> {
  let next = 0;
  const tooLong = (row: number): Error =>
    stopAt(413, 'row_too_large', row, `is longer than the ${megabytes(maxBytes)} of a row; it and what follows was not read`);
  try {
    yield* byteLines(source, maxBytes, tooLong, (read) => (next = read));
  } catch (error) {
    if (error instanceof ReelfuseError) throw error;
    throw stopAt(400, 'stream_broken', next, `the body broke off here: ${messageOf(error)}; this row and what follows was not read`);
  }
}

/**
 * The first `limit` lines.
 * @param wayOut what the caller can do instead, for the error
 * @throws ReelfuseError 413 `too_many_rows` when there are more
 */
export async function* atMost(limit: number, lines: AsyncIterable<ByteLine>, wayOut: string): AsyncGenerator<ByteLine> {
  let count = 0;
  for await (const line of lines) {
    if (count++ === limit)
      throw stopAt(413, 'too_many_rows', line.row, `is row number ${limit + 1} of ${limit}; it and what follows was not read: ${wayOut}`);
    yield line;
  }
}
