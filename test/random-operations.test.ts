import { test } from 'node:test';
import { isLong } from './long.js';
import { runOperations } from './random-operations.js';

for (const seed of isLong ? [1, 2, 3] : [1]) {
  test(`random writes, swaps and restarts leave what a reference in memory has (seed ${seed})`, async (t) => {
    await runOperations(t, seed, 250);
  });
}
