import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timeOf } from '../src/time.js';
import { pointersOf } from './api.js';
import { build, clip, putClips, view } from './build.js';

/** Half an offset, no offset, days and hours that do not exist, and what only JavaScript takes for a time. */
const WRONG = [
  '2026-11-24T10:00:00+05',
  '2026-11-24T10:00:00+0530',
  '2026-11-24T10:00:00',
  '2026-11-24',
  '2026-02-30T10:00:00Z',
  '2026-11-24T24:00:00Z',
  '2026-11-24T10:61:00Z',
  '2026-11-24T10:00:61Z',
  '2026-11-24T10:30:60Z',
  '2026-11-24T10:00:00+24:00',
  '2026-11-24T10:00:00+05:99',
  '2026-11-24T10:00Z',
  ' 2026-11-24T10:00:00Z',
  '2026-11-24\n10:00:00Z',
  'Tue Nov 24 2026 10:00:00 GMT',
];

test('times of RFC 3339 are read, whatever their offset, case and precision; nothing else is', () => {
  const ten = Date.UTC(2026, 10, 24, 10);
  assert.equal(timeOf('2026-11-24T10:00:00Z'), ten);
  assert.equal(timeOf('2026-11-24t15:30:00+05:30'), ten);
  assert.equal(timeOf('2026-11-24 10:00:00z'), ten);
  assert.equal(timeOf('2026-11-24T10:00:00.1239999Z'), ten + 123);
  assert.equal(timeOf('2024-02-29T00:00:00Z'), Date.UTC(2024, 1, 29));
  assert.equal(timeOf('0099-01-01T00:00:00Z'), Date.parse('0099-01-01T00:00:00Z'));
  for (const text of WRONG) assert.equal(timeOf(text), null, text);
});

test('a leap second is the last millisecond of its minute, in every zone', () => {
  const end = Date.UTC(2026, 11, 31, 23, 59, 59, 999);
  assert.equal(timeOf('2026-12-31T23:59:60Z'), end);
  assert.equal(timeOf('2026-12-31T23:59:60.25Z'), end);
  assert.equal(timeOf('2027-01-01T05:29:60+05:30'), end);
});

test('what is no time is refused with its pointer, in items, patches, events and filters, and alone', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 3);
  for (const time of WRONG) {
    for (const field of ['available_from', 'expires_at']) {
      const answer = await api.putItem('timed', { [field]: time });
      assert.deepEqual(await pointersOf(answer), [422, `/${field}`], time);
    }
    const patched = await api.patchItem(clip(1), { expires_at: time });
    assert.deepEqual(await pointersOf(patched), [422, '/expires_at'], time);
    const filtered = await api.recommend({ user_id: 'u', filter: { field: 'created_at', gte: time } });
    assert.deepEqual(await pointersOf(filtered), [422, '/filter/gte'], time);
  }
  const events = [...WRONG, '2026-11-24T10:00:00Z', '2016-12-31T23:59:60Z'].map((at, n) => view(`e-${n}`, 'u', clip(1), at));
  const answer = await api.sendEvents(events);
  const { accepted, rejected } = answer.body;
  assert.deepEqual([answer.status, accepted, rejected.length], [207, 2, WRONG.length]);
  assert.ok(rejected.every(({ index, errors }) => errors[0]?.pointer === `/events/${index}/at`));
});

test('an embargo until a leap second is kept and shown', async (t) => {
  const { api, services } = await build(t);
  assert.equal((await api.putItem('timed', { available_from: '2099-12-31T23:59:60Z' })).status, 201);
  const item = (await api.getItem('timed')).body;
  assert.equal(item.available_from, '2099-12-31T23:59:59.999Z');
  assert.equal((await services.stores.items.get('timed'))?.available_from, Date.UTC(2099, 11, 31, 23, 59, 59, 999));
});
