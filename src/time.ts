const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(\.\d+)?(?:Z|([+-])(\d{2}):(\d{2}))$/i;

const MINUTE_MS = 60_000;

/**
 * Milliseconds since 1970 of a time in RFC 3339, null for any other text. A leap second, which may only end a day in UTC,
 * counts as the millisecond before it is over.
 */
export function timeOf(text: string): number | null {
  const parts = RFC_3339.exec(text);
  if (parts === null) return null;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [number, number, number, number, number, number]; // six groups
  const [fraction = '', sign = '+', offsetHours = '0', offsetMinutes = '0'] = parts.slice(7) as (string | undefined)[];
  const isLeap = second === 60;
  if (hour > 23 || minute > 59 || second > 60 || Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return null;

  const local = new Date(0);
  local.setUTCFullYear(year, month - 1, day); // Date.UTC takes the years 0 to 99 for 1900 to 1999
  if (local.getUTCMonth() !== month - 1 || local.getUTCDate() !== day) return null;
  local.setUTCHours(hour, minute, isLeap ? 59 : second, isLeap ? 999 : Number(fraction.slice(1, 4).padEnd(3, '0')));

  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * MINUTE_MS * (sign === '-' ? -1 : 1);
  const time = local.getTime() - offset;
  return isLeap && !endsDay(time) ? null : time;
}

const endsDay = (time: number): boolean => (time + 1) % (24 * 60 * MINUTE_MS) === 0;

/** Milliseconds since 1970 of a text that a schema has validated as a time. */
export function checkedTime(text: string): number {
  const time = timeOf(text);
  if (time === null) throw new Error(`${JSON.stringify(text)} passed as a time and is none`);
  return time;
}
