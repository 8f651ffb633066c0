import { InputError, type FieldError } from '../errors.js';
import type { EventWrite, Store } from '../store/store.js';
import { parseEvent, type EventSettings, type PositiveRule } from './event-input.js';
import { importRows, type ImportProgress, type ImportReport } from './import-rows.js';

const ID = /^[^\s\p{C}]{1,128}$/u;

/**
 * Imports what users did: events as `.jsonl`, `.ndjson` or `.csv`, or `.tsv` lines `user<TAB>item item …` in time
 * order. Lines without times get one second an item, the last one at the start of the import; their event ids are
 * made of user, item and how often that came before, so that importing them again adds what is new.
 */
export function importHistory(file: string, positives: PositiveRule, store: Store, progress?: ImportProgress): Promise<ImportReport> {
  if (!/\.(jsonl|ndjson|csv|tsv)$/.test(file)) throw new InputError(`${file}: histories are read from .jsonl, .ndjson, .csv or .tsv`);
  const now = Date.now();
  const users = new Set<string>();
  const isCsv = file.endsWith('.csv');
  const settings: EventSettings = { positives, attributesOf: (itemId) => store.item(itemId)?.attributes, now };
  return importRows(
    {
      kind: 'history',
      file,
      write: async (value) => {
        const events = typeof value === 'string' ? eventsOfLine(value, users, now) : eventOfRow(value, isCsv, settings);
        if (isFieldErrors(events)) return events;
        await store.appendEvents(events);
        return null;
      },
      skip: (value) => {
        if (typeof value === 'string') eventsOfLine(value, users, now); // notes the user
      },
    },
    store,
    progress,
  );
}

const isFieldErrors = (found: EventWrite[] | FieldError[]): found is FieldError[] => found[0] !== undefined && 'pointer' in found[0];

function eventOfRow(value: unknown, isCsv: boolean, settings: EventSettings): EventWrite[] | FieldError[] {
  const parsed = parseEvent(isCsv ? withNumbers(value as Record<string, string>) : value, '', settings);
  return Array.isArray(parsed) ? parsed : [parsed];
}

const NUMBERS = new Set(['watch_ms', 'duration_ms', 'watch_portion']);

const withNumbers = (record: Record<string, string>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(record)
      .filter(([, cell]) => cell.trim() !== '')
      .map(([column, cell]) => [column, NUMBERS.has(column) && /^\d+(\.\d+)?$/.test(cell) ? Number(cell) : cell]),
  );

/** Spaces are in no id, colons may be: u:yt and abc are not u and yt:abc. */
const eventIdOf = (user: string, item: string, time: number): string =>
  ['import', user, item, time].join(user.includes(':') || item.includes(':') ? ' ' : ':');

function eventsOfLine(line: string, users: Set<string>, now: number): EventWrite[] | FieldError[] {
  const [user = '', list, ...rest] = line.split('\t');
  if (list === undefined || rest.length > 0) return [{ pointer: '', detail: 'must be user<TAB>item item …' }];
  if (!ID.test(user)) return [{ pointer: '/user', detail: `${JSON.stringify(user)} is not an id of 1 to 128 visible characters` }];
  if (users.has(user)) return [{ pointer: '/user', detail: `${user} stands on an earlier line too` }];
  users.add(user);
  const items = list.split(' ').filter((item) => item !== '');
  const bad = items.findIndex((item) => !ID.test(item));
  if (items.length === 0 || bad >= 0) return [{ pointer: `/items/${Math.max(bad, 0)}`, detail: 'is not an id of 1 to 128 visible characters' }];
  const times = new Map<string, number>();
  const timeOf = (item: string): number => {
    const time = times.get(item) ?? 0;
    times.set(item, time + 1);
    return time;
  };
  return items.map((item, position) => ({
    event_id: eventIdOf(user, item, timeOf(item)),
    user_id: user,
    item_id: item,
    type: 'view',
    at: now - (items.length - 1 - position) * 1000,
    watch_ms: null,
    watch_portion: null,
    duration_ms: null,
    recommendation_id: null,
    positive: true,
  }));
}
