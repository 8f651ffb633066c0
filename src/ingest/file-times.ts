import type { FieldError } from '../errors.js';
import { timeOf } from '../time.js';
import { isRecord, type Row } from './import-rows.js';

/** Without a zone it is UTC; a date alone is its first moment. */
const PLAIN = /^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$/;
const EPOCH = /^\d+(\.\d+)?$/;
/** Numbers from here on (5 March 1973 in milliseconds, the year 5138 in seconds) are milliseconds, those below are seconds. */
const MILLISECONDS_FROM = 1e11;
/** Below it a number is too small to be told from a year or a date without hyphens: 26 April 1970 in seconds. */
const SECONDS_FROM = 1e7;

/**
 * Milliseconds since 1970 of a time as files have it: RFC 3339, `2026-10-01 10:00:00` and `2026-10-01` in UTC, seconds or milliseconds since
 * 1970. Null for anything else, for example 01/02/2026, which is a day of January or of February.
 */
export function fileTimeOf(value: unknown): number | null {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  if (EPOCH.test(text)) {
    const number = Number(text);
    if (/^(19|20)\d{6}$/.test(text) || number < SECONDS_FROM) return null;
    return number < MILLISECONDS_FROM ? Math.round(number * 1000) : Math.round(number);
  }
  if (!PLAIN.test(text)) return timeOf(text);
  const [date = '', clock = '00:00:00'] = text.split(/[ T]/);
  return timeOf(`${date}T${clock.length === 5 ? `${clock}:00` : clock}Z`);
}

/** The same in RFC 3339; a text in that form stays as it is. */
export function rfcTimeOf(value: unknown): string | null {
  if (typeof value === 'string' && timeOf(value) !== null) return value;
  const time = fileTimeOf(value);
  return time === null || time > MAX_TIME ? null : new Date(time).toISOString();
}

/**
 * The row with its times in RFC 3339. Values that are no times are refused, others and missing ones are left to the schema.
 * @param fields names of the fields that hold times
 */
export function withTimes(row: Row, fields: readonly string[]): Row {
  if (!('value' in row) || !isRecord(row.value)) return row;
  const { value: record } = row;
  const changed: Record<string, unknown> = {};
  const errors: FieldError[] = [];
  for (const field of fields) {
    const value = record[field];
    if (typeof value !== 'string' && typeof value !== 'number') continue;
    const time = rfcTimeOf(value);
    if (time === null) errors.push({ pointer: `/${field}`, detail: `${JSON.stringify(value)} ${TIME_EXPECTED}` });
    else changed[field] = time;
  }
  return errors.length > 0 ? { errors } : { value: { ...record, ...changed } };
}

/** The end of the year 9999, beyond which RFC 3339 has no form. */
const MAX_TIME = 253_402_300_799_999;
export const TIME_EXPECTED = 'is no time: write RFC 3339, 2026-10-01 10:00:00 (taken as UTC), 2026-10-01, or seconds or milliseconds since 1970';
