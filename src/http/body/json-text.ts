import { isUtf8 } from 'node:buffer';
import { parse } from 'secure-json-parse';
import { ReelfuseError } from '../../errors.js';
import type { ArraySpan } from './json-meter.js';
import type { OwnTurn } from '../../turnstile.js';
import { firstBadByte } from '../../utf8.js';

/** Time in which rows are parsed in one turn of the event loop, milliseconds. */
const SLICE_MS = 2;

const malformed = (detail: string): ReelfuseError => new ReelfuseError(400, 'malformed_json', detail);

/** @throws ReelfuseError 400 `malformed_json` */
export function parseWhole(bytes: Buffer): unknown {
  requireUtf8(bytes);
  return parsed(bytes.toString('utf8'));
}

/**
 * Parses a body row by row, in slices of a few milliseconds: the arrays that are members of the outermost object are cut out of the text
 * and parsed element by element.
 * @param arrays of `JsonMeter`
 * @throws ReelfuseError 400 `malformed_json`
 */
export async function parseRows(bytes: Buffer, arrays: readonly ArraySpan[], ownTurn: OwnTurn): Promise<unknown> {
  await ownTurn();
  requireUtf8(bytes);
  const pieces: string[] = [];
  let from = 0;
  for (const [position, { start, end }] of arrays.entries()) {
    if (end < 0) throw malformed('the body is not JSON: its brackets do not match');
    pieces.push(bytes.toString('utf8', from, start), String(position));
    from = end;
  }
  pieces.push(bytes.toString('utf8', from));
  // in this text each array holds one number, by which it is found again
  const outer = parsed(pieces.join('')) as Record<string, unknown>;
  for (const [name, value] of Object.entries(outer)) {
    const span = Array.isArray(value) ? arrays[value[0] as number] : undefined;
    if (span !== undefined) outer[name] = await parseElements(bytes, span, ownTurn);
  }
  return outer;
}

async function parseElements(bytes: Buffer, { start, end, commas }: ArraySpan, ownTurn: OwnTurn): Promise<unknown[]> {
  const elements: unknown[] = [];
  let from = start;
  let sliceEnd = performance.now() + SLICE_MS;
  for (const to of [...commas, end]) {
    const text = bytes.toString('utf8', from, to);
    if (commas.length === 0 && text.trim() === '') return elements;
    elements.push(parsed(text));
    from = to + 1;
    if (performance.now() < sliceEnd) continue;
    await ownTurn();
    sliceEnd = performance.now() + SLICE_MS;
  }
  return elements;
}

/** Names that would change prototypes are refused. */
function parsed(text: string): unknown {
  if (text === '') throw malformed('the body is empty');
  try {
    return parse(text);
  } catch (error) {
    throw malformed(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

function requireUtf8(bytes: Buffer): void {
  if (!isUtf8(bytes)) throw malformed(`the body is not UTF-8: byte ${firstBadByte(bytes)}`);
}
