import { rowOf, type Row } from './json.js';
import type { ItemInput } from './types.js';

export interface ItemBodyLimits {
  /** The server answers 10,000 rows in one document at most. */
  maxRows: number;
  /** Characters of JSON; a longer row goes alone. */
  maxLength: number;
}

const DEFAULTS: ItemBodyLimits = { maxRows: 1000, maxLength: 8 * 1024 * 1024 };

/** A line of NDJSON, and the row that it stands for. */
export interface ItemLine extends Row<ItemInput> {
  text: string;
}

/** NDJSON of bounded size, as its lines; one body is in memory, and no item is taken before it is needed. */
export async function* inBodies(
  items: Iterable<ItemInput> | AsyncIterable<ItemInput>,
  limits: Partial<ItemBodyLimits>,
): AsyncGenerator<ItemLine[], void> {
  const { maxRows, maxLength } = { ...DEFAULTS, ...limits };
  let lines: ItemLine[] = [];
  let length = 0;
  for await (const item of items) {
    const row = rowOf(item);
    const text = `${row.problem === null ? JSON.stringify(item) : 'null'}\n`;
    if (lines.length > 0 && (lines.length >= maxRows || length + text.length > maxLength)) {
      yield lines;
      lines = [];
      length = 0;
    }
    lines.push({ ...row, text });
    length += text.length;
  }
  if (lines.length > 0) yield lines;
}
