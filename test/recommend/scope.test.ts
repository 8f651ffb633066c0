import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../src/domain/item-hash.js';
import { memoryContext } from './memory-context.js';

const ITEMS = [{ id: 'a' }, { id: 'b' }, { id: 'c' }];

test('a change that does not come is told, with the newest that there is', async () => {
  const { scopeOf } = await memoryContext(ITEMS);
  const refusal = { status: 503, code: 'sequence_not_reached', retryAfter: 1, message: /change 9 .* the newest is 7/ };
  await assert.rejects(scopeOf({ atLeastSequence: 9 }, { changes: { sequence: 7, reached: async () => false } }), refusal);
});

test('a change is waited for until the deadline, without one for a second', async () => {
  const { scopeOf } = await memoryContext(ITEMS);
  const waits: number[] = [];
  const reached = async (_: number, milliseconds: number): Promise<boolean> => waits.push(milliseconds) > 0;
  const { sequence } = await scopeOf({ atLeastSequence: 9 }, { changes: { sequence: 9, reached } });
  await scopeOf({ atLeastSequence: 9, deadlineMs: 50 }, { changes: { sequence: 9, reached } });
  await scopeOf({}, { changes: { sequence: 9, reached } });
  const [free, hurried] = waits;
  assert.deepEqual([sequence, free, waits.length], [9, 1000, 2]);
  assert.ok(hurried !== undefined && hurried <= 48);
});

test('whatever the request names is excluded, and nothing when it names nothing', async () => {
  const { scopeOf } = await memoryContext(ITEMS);
  const { rules } = await scopeOf({ history: ['a', 'x'], liked: ['b'], disliked: ['y'], exclude: ['z'], similarTo: 'c' });
  assert.deepEqual([...rules.excludedIds].sort(), ['a', 'b', 'c', 'x', 'y', 'z']);
  assert.equal((await scopeOf({ history: [] })).rules.excludedIds.size, 0);
});

test('the history is excluded as a whole only where everything seen is', async () => {
  const { scopeOf } = await memoryContext(ITEMS);
  const scopes = await Promise.all([scopeOf({}), scopeOf({ seenWithinMs: 1000 }), scopeOf({ excludeSeen: false })]);
  assert.deepEqual(
    scopes.map(({ rules }) => rules.excludesHistory),
    [true, false, false],
  );
});

test('around an item that is not known there is nothing; while the catalogue loads nobody knows', async () => {
  const { scopeOf, itemOf } = await memoryContext(ITEMS);
  await assert.rejects(scopeOf({ similarTo: 'x' }), { status: 404, code: 'item_not_found' });
  assert.equal((await scopeOf({ similarTo: 'a' })).similarTo, (await itemOf('a')).index);
  assert.equal((await scopeOf({ similarTo: 'x' }, { isReady: () => false })).similarTo, null);
});

test('a cursor brings what was shown, to the same user, item and filter alone', async () => {
  const { context, scopeOf } = await memoryContext([{ id: 'a', fields: { attributes: { kind: 'x' } } }]);
  const filter = { field: 'kind', eq: 'x' };
  const { identity, now } = await scopeOf({ userId: 'u', filter });
  const cursor = context.cursors.seal([hashOf('a')], identity, now);
  const { shown, rules } = await scopeOf({ userId: 'u', filter, cursor });
  assert.deepEqual([shown, [...rules.shownEarlier]], [[hashOf('a')], [hashOf('a')]]);
  for (const other of [{ userId: 'v', filter }, { userId: 'u' }, { userId: 'u', filter, similarTo: 'a' }])
    await assert.rejects(scopeOf({ ...other, cursor }), { status: 422, code: 'invalid_request' });
});
