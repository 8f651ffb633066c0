import type { FieldProblem } from './problem.js';

const MAX_DEPTH = 100;
const part = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

/**
 * Where JSON would change a value: NaN, infinity and an invalid Date would become null, a typed array or a Map an object, undefined in a list
 * null; a BigInt, a function or a cycle has no form at all. A member that is undefined is left out, which is no change.
 * @returns null: it can be sent
 */
export function unsendable(value: unknown, pointer = '', depth = 0): FieldProblem | null {
  const refuse = (detail: string): FieldProblem => ({ pointer, detail });
  if (value === undefined) return refuse('is undefined: leave it out, or give null');
  if (typeof value === 'number') return Number.isFinite(value) ? null : refuse(`is ${value}: leave it out, or give null`);
  if (typeof value === 'bigint') return refuse('is a BigInt: give a number, or a text');
  if (typeof value === 'function' || typeof value === 'symbol') return refuse(`is a ${typeof value}, which JSON has no form for`);
  if (typeof value !== 'object' || value === null) return null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? refuse('is an invalid Date') : null;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') return unsendable(toJSON.call(value), pointer, depth + 1);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Map || value instanceof Set)
    return refuse(`is a ${value.constructor.name}, which JSON has no form for`);
  if (depth > MAX_DEPTH) return refuse(`is nested deeper than ${MAX_DEPTH} levels`);
  const isList = Array.isArray(value);
  // an index of a list that has no element is undefined too
  const members: Iterable<[string | number, unknown]> = isList ? (value as unknown[]).entries() : Object.entries(value);
  for (const [key, member] of members) {
    if (!isList && member === undefined) continue;
    const found = unsendable(member, `${pointer}/${part(String(key))}`, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

/** @throws TypeError that begins with the JSON pointer of what cannot be sent */
export function jsonOf(value: unknown): string {
  const found = unsendable(value);
  if (found !== null) throw new TypeError(`${found.pointer} ${found.detail}`.trim());
  return JSON.stringify(value);
}

export interface Row<Given> {
  given: Given;
  /** Why null goes in its place, which the server refuses as it refuses any row; null: it goes itself. */
  problem: FieldProblem | null;
}

export const rowOf = <Given>(given: Given): Row<Given> => ({ given, problem: unsendable(given) });
