import { ReelfuseError } from '../../errors.js';
import { ENVELOPE, MAX_DEPTH, type BodyLimits } from './limits.js';

/** Where the elements of an array stand in the text. */
export interface ArraySpan {
  /** Offset of the first byte after the opening bracket. */
  readonly start: number;
  /** Offset of the closing bracket. */
  readonly end: number;
  /** Offsets of the commas between the elements. */
  readonly commas: readonly number[];
}

/** Counts what JSON text holds before it is parsed, so that a body that is too costly is refused at the price of reading it. */
export interface JsonMeter {
  /**
   * Takes the next bytes of the text.
   * @throws ReelfuseError 413 `body_too_complex` as soon as a limit is exceeded
   */
  add(chunk: Buffer): void;
  /** The arrays that are members of the outermost object, in order; empty unless rows are limited. */
  readonly arrays: readonly ArraySpan[];
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Bytes of a string that are looked at one by one before the end is searched for. */
const NEAR = 64;
/** Depth of the elements of an array that is a member of the outermost object. */
const ROW_DEPTH = 2;

const tooComplex = (detail: string): ReelfuseError => new ReelfuseError(413, 'body_too_complex', detail);

/** Text that is not JSON is measured too; parsing refuses it later. */
export function createJsonMeter({ maxValues, rows }: Pick<BodyLimits, 'maxValues' | 'rows'>): JsonMeter {
  const arrays: { start: number; end: number; commas: number[] }[] = [];
  /** Offset of the chunk in the text. */
  let base = 0;
  let depth = 0;
  let values = 0;
  /** Members of the outermost value. */
  let members = 0;
  /** Bytes within arrays that are closed. */
  let inRows = 0;
  let isInString = false;
  let isEscaped = false;
  let isObject = false;
  let open: { start: number; end: number; commas: number[] } | null = null;
  let rowStart = 0;
  let rowValues = 0;

  const count = (): void => {
    if (++values > maxValues) throw tooComplex(`the body has more than the ${maxValues.toLocaleString('en')} values that this route takes`);
    if (rows !== undefined && depth === 1 && ++members > ENVELOPE.maxValues)
      throw tooComplex(`the body has more than ${ENVELOPE.maxValues.toLocaleString('en')} fields`);
    if (open !== null && rows !== undefined && values - rowValues > rows.maxValues)
      throw tooComplex(`row ${open.commas.length} has more than ${rows.maxValues.toLocaleString('en')} values`);
  };
  const checkRow = (at: number): void => {
    if (open !== null && rows !== undefined && at - rowStart > rows.maxBytes)
      throw tooComplex(`row ${open.commas.length} is larger than ${rows.maxBytes.toLocaleString('en')} bytes`);
  };
  const beginRow = (at: number): void => {
    rowStart = at;
    rowValues = values;
  };
  const enter = (byte: number, at: number): void => {
    if (++depth > MAX_DEPTH) throw tooComplex(`the body is nested deeper than ${MAX_DEPTH}`);
    count();
    if (depth === 1) isObject = byte === OPEN_OBJECT;
    if (depth !== ROW_DEPTH || rows === undefined || !isObject || byte !== OPEN_ARRAY) return;
    open = { start: at + 1, end: -1, commas: [] };
    beginRow(at + 1);
  };
  const leave = (byte: number, at: number): void => {
    if (depth === ROW_DEPTH && open !== null) {
      checkRow(at);
      open.end = byte === CLOSE_ARRAY ? at : -1; // -1: the brackets do not match, so the text is not JSON
      arrays.push(open);
      inRows += at - open.start;
      open = null;
    }
    depth--;
  };
  const separate = (at: number): void => {
    count();
    if (depth !== ROW_DEPTH || open === null) return;
    checkRow(at);
    open.commas.push(at);
    beginRow(at + 1);
  };
  /** @returns index after the string, or the length of the chunk when it goes on */
  const skipString = (chunk: Buffer, from: number): number => {
    let at = from;
    let near = at + NEAR;
    for (; at < chunk.length; at++) {
      if (isEscaped) isEscaped = false;
      else if (chunk[at] === BACKSLASH) isEscaped = true;
      else if (chunk[at] === QUOTE) {
        isInString = false;
        return at + 1;
      } else if (at >= near) {
        // a long string: a quote that no backslash precedes ends it, whatever stands before
        const quote = chunk.indexOf(QUOTE, at);
        if (quote < 0 && chunk[chunk.length - 1] !== BACKSLASH) return chunk.length;
        if (quote > 0 && chunk[quote - 1] !== BACKSLASH) at = quote - 1;
        else near = quote < 0 ? chunk.length : quote + NEAR;
      }
    }
    return at;
  };

  return {
    arrays,
    add: (chunk) => {
      let at = 0;
      while (at < chunk.length) {
        if (isInString) {
          at = skipString(chunk, at);
          continue;
        }
        const byte = chunk[at] as number; // at < length
        if (byte === QUOTE) isInString = true;
        else if (byte === COMMA) separate(base + at);
        else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) enter(byte, base + at);
        else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) leave(byte, base + at);
        at++;
      }
      base += chunk.length;
      checkRow(base);
      const beside = (open?.start ?? base) - inRows;
      if (rows !== undefined && beside > ENVELOPE.maxBytes)
        throw tooComplex(`the body has more than ${ENVELOPE.maxBytes / 1024} KiB beside its rows`);
    },
  };
}
