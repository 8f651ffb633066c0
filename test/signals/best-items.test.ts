import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBestItems } from '../../src/signals/best-items.js';
import { randomOf } from '../random.js';

for (const limit of [0, 1, 7, 100, 500])
  test(`the best ${limit} of 300 values come best first, as a sort of all would bring them`, () => {
    const random = randomOf(limit + 1);
    const values = Array.from({ length: 300 }, () => Math.floor(random() * 100));
    const best = createBestItems<number>(limit, (a, b) => a - b);
    for (const value of values) best.offer(value);
    assert.deepEqual(best.sorted(), values.toSorted((a, b) => b - a).slice(0, limit));
  });
