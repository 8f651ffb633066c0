import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRankingMetrics, rankOf } from '../../src/cli/ranking-metrics.js';

const items = [
  { item_id: 'a', score: 3 },
  { item_id: 'b', score: 2 },
  { item_id: 'c', score: 2 },
];

test('ties never help the target', () => {
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((target) => rankOf(items, target)),
    [0, 2, 2, null],
  );
});

test('HR and NDCG by hand', () => {
  const metrics = createRankingMetrics();
  for (const rank of [0, 2, 15, null]) metrics.add(rank);
  const { 'hr@10': hr10, 'ndcg@10': ndcg10, 'hr@20': hr20, 'ndcg@20': ndcg20 } = metrics.summary();
  assert.equal(hr10, 0.5);
  assert.equal(hr20, 0.75);
  assert.ok(Math.abs(ndcg10 - (1 + 0.5) / 4) < 1e-12);
  assert.ok(Math.abs(ndcg20 - (1.5 + 1 / Math.log2(17)) / 4) < 1e-12);
});
