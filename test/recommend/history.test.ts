import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOBODY, collectHistory, type History } from '../../src/recommend/history.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { memoryContext, type MemoryContext } from './memory-context.js';

const NOW = 1_000_000;
const open = (): Promise<MemoryContext> =>
  memoryContext([{ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd' }], {
    users: { u: { positives: ['d', 'a'], seen: { a: NOW - 1001, b: NOW - 1000, d: NOW } } },
  });

async function collect(request: Partial<RecommendRequest>): Promise<{ history: History; newest: string[]; seen: string[] }> {
  const { context, requestOf } = await open();
  const recent = request.userId === undefined ? NOBODY : await context.histories.of(request.userId ?? '');
  const history = await collectHistory(recent, requestOf({ history: [], ...request }), context.retrieval, NOW);
  const seen = ['a', 'b', 'c', 'd'].filter((itemId, n) => history.seen.has(n + 1) && context.interner.idOf(n + 1) === itemId);
  return { history, newest: Array.from(history.newestFirst, context.interner.idOf), seen };
}

test('what the request brings is newer than what is stored, its examples newest of all, and each item counts once', async () => {
  assert.deepEqual((await collect({ userId: 'u' })).newest, ['d', 'a']);
  assert.deepEqual((await collect({ userId: 'u', history: ['a', 'b'], liked: ['c'] })).newest, ['c', 'b', 'a', 'd']);
  assert.deepEqual((await collect({ history: ['a', 'b', 'a'] })).newest, ['a', 'b']);
});

test('an item that is left out of the history is nowhere in it', async () => {
  const { newest, history } = await collect({ userId: 'u', history: ['b'], without: ['d', 'b', 'x'] });
  assert.deepEqual([newest, history.isEmpty], [['a'], false]);
});

test('a history of unknown items is not an empty one', async () => {
  const unknown = await collect({ history: ['x', 'y'] });
  assert.deepEqual([unknown.newest, unknown.history.isEmpty], [[], false]);
  const all = await collect({ userId: 'u', without: ['a', 'd'] });
  assert.deepEqual([all.newest, all.history.isEmpty], [[], false]);
  for (const nobody of [{}, { userId: 'stranger' }, { userId: 'stranger', without: ['a'] }])
    assert.equal((await collect(nobody)).history.isEmpty, true, JSON.stringify(nobody));
});

test('what was seen is excluded whenever it was, within a time, or not at all', async () => {
  assert.deepEqual((await collect({ userId: 'u' })).seen, ['a', 'b', 'd']);
  assert.deepEqual((await collect({ userId: 'u', seenWithinMs: 1000 })).seen, ['b', 'd'], 'at the very start of the time too');
  assert.deepEqual((await collect({ userId: 'u', seenWithinMs: 0 })).seen, ['d']);
  assert.deepEqual((await collect({ userId: 'u', excludeSeen: false, seenWithinMs: 1000 })).seen, []);
});
