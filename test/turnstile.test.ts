import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import { createTurnstile } from '../src/turnstile.js';

test('each turn of the event loop lets one work go on, in the order in which they came', async () => {
  const ownTurn = createTurnstile();
  const order: string[] = [];
  const work = async (name: string): Promise<void> => {
    for (let step = 0; step < 2; step++) {
      await ownTurn();
      order.push(`${name}${step}`);
    }
  };
  const works = Promise.all([work('a'), work('b'), work('c')]);
  const turns = (async () => {
    while (order.length < 6) {
      const before = order.length;
      await nextTurn();
      assert.ok(order.length - before <= 1, order.join());
    }
  })();
  await Promise.all([works, turns]);
  assert.deepEqual(order, ['a0', 'b0', 'c0', 'a1', 'b1', 'c1']);
});
