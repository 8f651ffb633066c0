import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationOf, isPositive } from '../../src/domain/event.js';

const RULE = { types: new Set(['view', 'like']), portion: 0.5, watchMs: 3000 };
const isHistory = (type: string, portion: number | null, watched: number | null): boolean =>
  isPositive({ type, watch_portion: portion, watch_ms: watched }, RULE);

test('a view counts from the watched portion on; how long it was does not matter then', () => {
  assert.deepEqual([isHistory('view', 0.5, null), isHistory('view', 0.49, null)], [true, false]);
  assert.deepEqual([isHistory('view', 0.5, 1), isHistory('view', 0.49, 60_000), isHistory('view', 3, 0)], [true, false, true]);
});

test('a view of a clip of unknown duration counts from the watch time on, and without any as watched', () => {
  assert.deepEqual([isHistory('view', null, 3000), isHistory('view', null, 2999), isHistory('view', null, null)], [true, false, true]);
});

test('other types count by their name alone', () => {
  assert.deepEqual([isHistory('like', 0, 0), isHistory('skip', 1, 60_000), isHistory('impression', null, null)], [true, false, false]);
  assert.equal(isPositive({ type: 'view', watch_portion: 1, watch_ms: null }, { ...RULE, types: new Set(['like']) }), false);
});

test('a duration is a positive number of seconds, or not known', () => {
  assert.equal(durationOf({ duration_s: 1.5 }), 1500);
  for (const attributes of [undefined, {}, { duration_s: 0 }, { duration_s: -1 }, { duration_s: '9' }, { duration_s: null }, { duration_s: NaN }])
    assert.equal(durationOf(attributes), null, JSON.stringify(attributes));
});
