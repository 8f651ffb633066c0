import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANYTHING, type EligibilityRules } from '../../src/domain/eligibility.js';
import { eligibleItems, type ItemSource } from '../../src/recommend/source.js';
import { falling, fieldsOf, idsOf, memoryContext, type MemoryContext } from './memory-context.js';

const NOT_LATE = { similarTo: null, disliked: [], exact: false, explain: false, scoresOthers: false, isLate: () => false };

async function sourceOf({ context, retrieval, itemOf }: MemoryContext, rules: EligibilityRules = ANYTHING): Promise<ItemSource> {
  const stream = await retrieval.search({ ...NOT_LATE, history: [(await itemOf('me')).index] }, rules, 10);
  assert.ok(stream);
  return eligibleItems(context, stream, rules, 'history');
}

test('what was deleted or hidden after the search is not returned', async () => {
  const feed = await memoryContext(falling(6, 0.1));
  const source = await sourceOf(feed);
  await feed.retrieval.apply([
    { kind: 'delete', itemId: 'v0' },
    { kind: 'fields', fields: fieldsOf('v2', { hidden: true }) },
    { kind: 'fields', fields: fieldsOf('v4', { expires_at: 1 }) },
    { kind: 'fields', fields: fieldsOf('v1', { title: 'new' }) },
  ]);
  const page = await source.next(10, null);
  assert.deepEqual(idsOf(page), ['v1', 'v3', 'v5']);
  assert.equal(page[0]?.item.fields.title, 'new');
  assert.deepEqual(await source.next(10, null), []);
});

test('a page without an eligible item is passed over: an empty one is the end', async () => {
  const feed = await memoryContext(falling(9, 0.1));
  const source = await sourceOf(feed, { ...ANYTHING, excludedIds: new Set(['v0', 'v1', 'v2', 'v3', 'v8']) });
  assert.deepEqual(idsOf(await source.next(2, null)), ['v4', 'v5']);
  assert.deepEqual(idsOf(await source.next(2, null)), ['v6', 'v7']);
  assert.deepEqual([await source.next(2, null), source.upperBound()], [[], -Infinity]);
});

test('items are ordered by their score, and the bound is that of the stream', async () => {
  const source = await sourceOf(await memoryContext(falling(3, 0.25)));
  const [first] = await source.next(1, null);
  assert.deepEqual([first?.score, first?.rankScore, first?.reason, first?.movedBy], [10, 10, 'history', []]);
  assert.equal(source.upperBound(), 7.5);
});
