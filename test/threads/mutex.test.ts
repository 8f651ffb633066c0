import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { makeLock, mutexOf } from '../../src/threads/mutex.js';

test('tasks of one lock never overlap, and a failed one lets the next one in', async () => {
  const lock = makeLock();
  const callers = [mutexOf(lock), mutexOf(lock)]; // as two threads would
  let running = 0;
  const task = (n: number) => async (): Promise<number> => {
    assert.equal(++running, 1);
    await nextTurn();
    running--;
    if (n === 3) throw new Error('failed');
    return n;
  };
  const done = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => callers[n % 2]?.runExclusive(task(n))));
  assert.deepEqual(
    done.map((one) => (one.status === 'fulfilled' ? one.value : 'failed')),
    [0, 1, 2, 'failed', 4, 5, 6, 7, 8, 9],
  );
});
