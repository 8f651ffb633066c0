import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserEvent } from '../../src/domain/event.js';
import { createErasure } from '../../src/ingest/erasure.js';
import { ingestEvents, type EventIngestSetup } from '../../src/ingest/events.js';
import type { Erased } from '../../src/store/events.js';
import type { StoredItem } from '../../src/store/items.js';
import { fieldsNamed } from './write-side.js';

const view = (eventId: string, itemId: string, more: object = {}) => ({
  event_id: eventId,
  user_id: 'u',
  item_id: itemId,
  type: 'view',
  at: '2026-11-24T10:00:00Z',
  ...more,
});

/** @param durations seconds by item id: of those that the serving generation knows, and of those that only the store has */
function open(durations: { known?: Record<string, number | null>; stored?: Record<string, number> } = {}) {
  const appended: UserEvent[] = [];
  const reads: (readonly string[])[] = [];
  const withDuration = (itemId: string, seconds: number | null | undefined) => ({
    ...fieldsNamed(itemId, itemId),
    attributes: seconds == null ? {} : { duration_s: seconds },
  });
  const setup: EventIngestSetup = {
    events: {
      append: async (events) => {
        const known = new Set(appended.map(({ event_id: id }) => id));
        const accepted = events.map(({ event_id: id }) => !known.has(id) && known.add(id) !== undefined);
        appended.push(...events.filter((_, n) => accepted[n]));
        return { accepted, sequence: 7 };
      },
    },
    changes: { sequence: 3 },
    items: {
      getMany: async (ids) => {
        reads.push(ids);
        return ids.flatMap((id): StoredItem[] => {
          const seconds = durations.stored?.[id];
          return seconds === undefined ? [] : [{ ...withDuration(id, seconds), created_at: 1, updated_at: 1, sequence: 1 }];
        });
      },
    },
    find: async (ids) =>
      ids.map((id) => {
        const seconds = durations.known?.[id];
        return seconds === undefined ? undefined : { fields: withDuration(id, seconds), created: 1, index: 0, idShare: null };
      }),
    now: Date.now,
    positives: { types: new Set(['view', 'like']), portion: 0.5, watchMs: 3000 },
  };
  return { appended, reads, ingest: (rows: readonly unknown[]) => ingestEvents(rows, setup) };
}

test('good events are taken, bad ones are named, and one that is known counts as a duplicate', async () => {
  const { ingest } = open();
  const rows = [view('1', 'a'), { ...view('2', 'b'), type: 'stare' }, view('1', 'a'), null, view('3', 'c', { type: 'impression' })];
  const { accepted, duplicates, rejected, sequence } = await ingest(rows);
  assert.deepEqual([accepted, duplicates, sequence], [2, 1, 7]);
  assert.deepEqual(
    rejected.map(({ index, event_id: id, errors }) => [index, id, errors[0]?.pointer]),
    [
      [1, '2', '/events/1/type'],
      [3, undefined, '/events/3'],
    ],
  );
});

test('where every event is refused nothing is written', async () => {
  const { ingest, appended } = open();
  const answer = await ingest([{}, view('1', 'a', { at: '2999-01-01T00:00:00Z' })]);
  assert.deepEqual([answer.accepted, answer.duplicates, answer.rejected.length, answer.sequence, appended], [0, 0, 2, 3, []]);
});

test('a watched portion follows from the duration of the event, else of the item; the store is read once, and only for unknown items', async () => {
  const { ingest, appended, reads } = open({ known: { fast: 10, timeless: null }, stored: { slow: 100, timeless: 1 } });
  await ingest([
    view('1', 'fast', { watch_ms: 5000 }),
    view('2', 'slow', { watch_ms: 5000 }),
    view('3', 'slow', { watch_ms: 5000, duration_ms: 5000 }),
    view('4', 'timeless', { watch_ms: 5000 }),
    view('5', 'nobody', { watch_ms: 2000 }),
    view('6', 'slow', { watch_portion: 0.7, watch_ms: 1 }),
    view('7', 'elsewhere'),
    view('8', 'fast', { watch_ms: 1000, type: 'like' }),
  ]);
  assert.deepEqual(
    appended.map(({ event_id: id, watch_portion: portion, positive }) => [id, portion, positive]),
    [
      ['1', 0.5, true],
      ['2', 0.05, false],
      ['3', 1, true],
      ['4', null, true],
      ['5', null, false],
      ['6', 0.7, true],
      ['7', null, true],
      ['8', 0.1, true],
    ],
  );
  assert.deepEqual(reads, [['slow', 'nobody']]);
  await ingest([view('9', 'fast', { watch_portion: 1 })]);
  assert.equal(reads.length, 1);
});

test('a user is erased in steps', async () => {
  const steps: Erased[] = [
    { events: 2000, sequence: 1 },
    { events: 3, sequence: 2 },
  ];
  const erasure = createErasure({
    events: {
      eraseUser: async () => steps.shift() as Erased, // no more steps are asked for
      expire: async () => ({ events: 4, sequence: 9 }),
      purgeErased: async (timeoutMs) => timeoutMs > 10,
    },
    changes: { sequence: 9 },
    inEffect: async () => undefined,
    keyValues: { get: async () => null, set: async () => undefined },
  });
  assert.deepEqual(await erasure.eraseUser('u', 100), { events: 2003, sequence: 2, filesPurged: true });
  assert.deepEqual(steps, []);
  assert.equal(await erasure.expireEvents(0, 0), 0);
  assert.equal(await erasure.expireEvents(1, 0), 4);
});
