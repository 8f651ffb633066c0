import { test } from 'node:test';
import { runOperations } from './random-operations.js';

for (const seed of [1, 2, 3]) {
  test(`random writes, swaps and restarts leave what a reference in memory has (seed ${seed})`, async (t) => {
    await runOperations(t, seed, 250);
  });
}
