import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beforeDeadline, deadlineOf, isLate } from '../../src/recommend/deadline.js';

test('a request is late when its deadline has passed, less the time for the fallback; without one never', () => {
  const now = performance.now();
  const states = [null, 60_000, 0].map((deadlineMs) => isLate({ deadline: deadlineOf(now, deadlineMs) }));
  assert.deepEqual(states, [false, false, true]);
});

test('work without a deadline is waited for, and late work that fails later disturbs nobody', async () => {
  const instead = async (): Promise<string> => 'late';
  assert.equal(await beforeDeadline(Promise.resolve('done'), { deadline: Infinity }, instead), 'done');
  assert.equal(await beforeDeadline(Promise.resolve('done'), { deadline: performance.now() + 60_000 }, instead), 'done');
  let fail = (_: Error): void => undefined;
  const failing = new Promise<string>((_, reject) => (fail = reject));
  assert.equal(await beforeDeadline(failing, { deadline: performance.now() - 1 }, instead), 'late');
  fail(new Error('too late'));
  await assert.rejects(beforeDeadline(Promise.reject(new Error('in time')), { deadline: performance.now() + 60_000 }, instead), /in time/);
});
