import { durationOf, type PositiveRule, type UserEvent } from '../domain/event.js';
import { ID_RULE, isId } from '../ids.js';
import { UNKNOWN_TIME } from '../domain/item.js';
import { InputError, type FieldError } from '../errors.js';
import type { Stores } from '../store/stores.js';
import { MISSING } from './csv-cells.js';
import { EventBody, completeEvent, needsDuration, parseEvent, type SentEvent } from './event-input.js';
import { withTimes } from './file-times.js';
import { endingOf, importRows, type ImportProgress, type ImportReport } from './import-rows.js';

/**
 * Imports events from `.jsonl`, `.ndjson` or `.csv`, or histories from `.tsv` lines `user<TAB>item item …`, oldest first.
 * `.tsv` items have no times: their order is that of the sequence, before all events with a time. Their event ids consist of user, item
 * and the number of earlier occurrences, so importing a longer version of the file adds only the new items.
 * @returns the report; its note says what the missing times mean
 * @throws InputError when the file cannot be read or has another ending
 */
export async function importHistory(
  file: string,
  positives: PositiveRule,
  stores: Pick<Stores, 'items' | 'events' | 'keyValues'>,
  progress?: ImportProgress,
): Promise<ImportReport> {
  if (!['jsonl', 'ndjson', 'csv', 'tsv'].includes(endingOf(file)))
    throw new InputError(`${file}: histories are read from .jsonl, .ndjson, .csv or .tsv`);
  const now = Date.now();
  const users = new Set<string>();
  const isCsv = endingOf(file) === 'csv';
  const complete = async (sent: SentEvent): Promise<UserEvent> => {
    const item = needsDuration(sent) ? await stores.items.get(sent.item_id) : null;
    return completeEvent(sent, durationOf(item?.attributes), positives);
  };
  const eventsOf = async (value: unknown): Promise<UserEvent[] | FieldError[]> => {
    if (typeof value === 'string') return eventsOfLine(value, users);
    const row = withTimes({ value: isCsv ? withNumbers(value as Record<string, string>) : value }, ['at']);
    if ('errors' in row) return row.errors;
    const parsed = parseEvent(row.value, '', now);
    return Array.isArray(parsed) ? parsed : [await complete(parsed)];
  };
  const report = await importRows(
    {
      kind: 'history',
      file,
      checkHeader: (columns) => checkEventColumns(file, columns),
      write: async (value) => {
        const events = await eventsOf(value);
        if (isFieldErrors(events)) return events;
        await stores.events.append(events);
        return null;
      },
      skip: (value) => {
        if (typeof value === 'string') eventsOfLine(value, users); // remembers the user, to reject a second line
      },
    },
    stores.keyValues,
    progress,
  );
  return endingOf(file) === 'tsv' ? { ...report, note: NO_TIMES } : report;
}

const NO_TIMES =
  'lines of .tsv have an order but no times: in the fallback ranking their events count less than any with a time, and no seen_window_hours covers them';

const isFieldErrors = (found: UserEvent[] | FieldError[]): found is FieldError[] => found[0] !== undefined && 'pointer' in found[0];

/** @throws InputError that names the columns which every event needs, or those that none has */
function checkEventColumns(file: string, columns: readonly string[]): void {
  const { properties, required } = EventBody as { properties: object; required: string[] };
  const missing = required.filter((name) => !columns.includes(name));
  if (missing.length > 0) throw new InputError(`${file}: has no column ${missing.join(', ')}: an event needs ${required.join(', ')}`);
  const unknown = columns.filter((name) => !(name in properties));
  if (unknown.length > 0)
    throw new InputError(`${file}: an event has no ${unknown.map((name) => JSON.stringify(name)).join(', ')}: rename the column or leave it out`);
}

const NUMBERS = new Set(['watch_ms', 'duration_ms', 'watch_portion']);

const withNumbers = (record: Record<string, string>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(record)
      .filter(([column, cell]) => cell.trim() !== '' && !(NUMBERS.has(column) && MISSING.test(cell.trim())))
      .map(([column, cell]) => [column, NUMBERS.has(column) && /^\d+(\.\d+)?$/.test(cell) ? Number(cell) : cell]),
  );

/** Ids may contain colons but no spaces: with colons, `u:yt` and `abc` would give the same event id as `u` and `yt:abc`. */
const eventIdOf = (user: string, item: string, time: number): string =>
  ['import', user, item, time].join(user.includes(':') || item.includes(':') ? ' ' : ':');

function eventsOfLine(line: string, users: Set<string>): UserEvent[] | FieldError[] {
  const [user = '', list, ...rest] = line.split('\t');
  if (list === undefined || rest.length > 0) return [{ pointer: '', detail: 'must be user<TAB>item item …' }];
  if (!isId(user)) return [{ pointer: '/user', detail: `${JSON.stringify(user)} is not an id: ${ID_RULE}` }];
  if (users.has(user)) return [{ pointer: '/user', detail: `${user} has an earlier line already` }];
  users.add(user);
  const items = list.split(' ').filter((item) => item !== '');
  const bad = items.findIndex((item) => !isId(item));
  if (items.length === 0 || bad >= 0) return [{ pointer: `/items/${Math.max(bad, 0)}`, detail: `is not an id: ${ID_RULE}` }];
  const times = new Map<string, number>();
  const timeOf = (item: string): number => {
    const time = times.get(item) ?? 0;
    times.set(item, time + 1);
    return time;
  };
  return items.map((item) => ({
    event_id: eventIdOf(user, item, timeOf(item)),
    user_id: user,
    item_id: item,
    type: 'view',
    at: UNKNOWN_TIME,
    watch_ms: null,
    watch_portion: null,
    duration_ms: null,
    recommendation_id: null,
    positive: true,
  }));
}
