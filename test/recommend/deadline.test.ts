import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadlineOf, isLate, unlessLate } from '../../src/recommend/deadline.js';

test('a request is late when its deadline has passed, less the time for the fallback; without one never', () => {
  const now = performance.now();
  const states = [null, 60_000, 0].map((deadlineMs) => isLate({ deadline: deadlineOf(now, deadlineMs) }));
  assert.deepEqual(states, [false, false, true]);
});

test('work without a deadline is waited for, and late work that fails later disturbs nobody', async () => {
  assert.equal(await unlessLate(Promise.resolve('done'), { deadline: Infinity }), 'done');
  assert.equal(await unlessLate(Promise.resolve('done'), { deadline: performance.now() + 60_000 }), 'done');
  let fail = (_: Error): void => undefined;
  const failing = new Promise<string>((_, reject) => (fail = reject));
  assert.equal(await unlessLate(failing, { deadline: performance.now() - 1 }), 'late');
  fail(new Error('too late'));
  await assert.rejects(unlessLate(Promise.reject(new Error('in time')), { deadline: performance.now() + 60_000 }), /in time/);
});
