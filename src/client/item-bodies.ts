import type { ItemInput } from './types.js';

export interface ItemBodyLimits {
  /** The server answers 10,000 rows in one document at most. */
  maxRows: number;
  /** Characters of JSON; a longer row goes alone. */
  maxLength: number;
}

const DEFAULTS: ItemBodyLimits = { maxRows: 1000, maxLength: 8 * 1024 * 1024 };

/** NDJSON of bounded size, as its lines; one body is in memory, and no item is taken before it is needed. */
export async function* inBodies(
  items: Iterable<ItemInput> | AsyncIterable<ItemInput>,
  limits: Partial<ItemBodyLimits>,
): AsyncGenerator<string[], void> {
  const { maxRows, maxLength } = { ...DEFAULTS, ...limits };
  let lines: string[] = [];
  let length = 0;
  for await (const item of items) {
    const line = `${JSON.stringify(item)}\n`;
    if (lines.length > 0 && (lines.length >= maxRows || length + line.length > maxLength)) {
      yield lines;
      lines = [];
      length = 0;
    }
    lines.push(line);
    length += line.length;
  }
  if (lines.length > 0) yield lines;
}
