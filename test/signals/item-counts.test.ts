import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createItemCounts } from '../../src/signals/item-counts.js';

test('of ids that no item has only so many are kept, the latest; an item is never dropped, and one that was deleted is an orphan', () => {
  const items = new Set(['a']);
  const counts = createItemCounts((itemId) => items.has(itemId), 0, 3);
  for (const itemId of ['a', 's1', 's2', 's3', 's1', 's4']) counts.set(itemId, counts.get(itemId) + 1);
  assert.deepEqual(
    ['a', 's1', 's2', 's3', 's4'].map((itemId) => counts.get(itemId)),
    [1, 2, 0, 1, 1],
  );
  items.add('s3');
  for (const itemId of ['s5', 's6', 's7']) counts.set(itemId, 1);
  assert.deepEqual([counts.get('s3'), counts.size], [1, 5]);
  items.delete('a');
  counts.set('a', counts.get('a'));
  assert.deepEqual([counts.get('a'), counts.size], [1, 4]);
  counts.set('s3', 0);
  assert.equal(counts.size, 3);
});
