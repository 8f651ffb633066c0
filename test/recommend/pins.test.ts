import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../src/domain/item-hash.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { besidePins, findPins, placePins, type Pin } from '../../src/recommend/pins.js';
import { recommend } from '../../src/recommend/pipeline.js';
import { falling, fieldsOf, idsOf, itemOf, memoryContext, ranked } from './memory-context.js';

const pinsAt = (...positions: [string, number][]): RecommendRequest['pins'] => positions.map(([itemId, position]) => ({ itemId, position }));
const scoresOf = async (items: readonly unknown[]): Promise<number[]> => items.map((_, n) => 100 + n);
const place = async (count: number, ...pins: [string, number][]): Promise<string[]> => {
  const items = Array.from({ length: count }, (_, n) => ranked(itemOf(`v${n}`, n), 0));
  const pinned = pins.map(([id, position], n): Pin => ({ item: itemOf(id, 100 + n), position }));
  return idsOf(await placePins(items, pinned, { scoresOf }));
};

test('a pin has its position, and the end where there are too few others', async () => {
  assert.deepEqual(await place(3, ['p', 1], ['q', 3]), ['p', 'v0', 'q', 'v1', 'v2']);
  assert.deepEqual(await place(3, ['p', 4]), ['v0', 'v1', 'v2', 'p']);
  assert.deepEqual(await place(1, ['p', 9], ['q', 20]), ['v0', 'p', 'q']);
  assert.deepEqual(await place(0, ['p', 5]), ['p']);
});

test('a pinned item says so, and has the score of the ranking', async () => {
  const [pinned] = await placePins([], [{ item: itemOf('p', 0), position: 1 }], { scoresOf });
  assert.deepEqual([pinned?.score, pinned?.reason, pinned?.movedBy], [100, 'pinned', ['pin']]);
});

test('a pin overrides filter, history and what was seen, but serves nothing that is excluded, hidden, gone or shown before', async () => {
  const items = falling(8, 0.1, (n) => ({ fields: { attributes: { kind: n === 0 ? 'x' : 'y' } } }));
  const { context, scopeOf, retrieval } = await memoryContext(items, {
    users: { u: { positives: ['v2'], seen: { v1: Date.now(), v2: Date.now() } } },
  });
  await retrieval.apply([{ kind: 'fields', fields: fieldsOf('v4', { hidden: true }) }]);
  const pins = pinsAt(['v5', 6], ['v1', 5], ['v2', 4], ['v3', 3], ['v4', 2], ['v6', 1], ['unknown', 7]);
  const request = { userId: 'u', history: ['v5'], exclude: ['v3'], filter: { field: 'kind', eq: 'x' }, pins };
  const { identity, now } = await scopeOf(request);
  const cursor = context.cursors.seal([hashOf('v6')], identity, now);
  assert.deepEqual(idsOf(await findPins(await scopeOf({ ...request, cursor }))), ['v2', 'v1', 'v5']);
});

test('what is pinned takes no other place', async () => {
  const { context, requestOf, itemOf: find, scopeOf } = await memoryContext(falling(5, 0.1));
  const { items } = await recommend(context, requestOf({ k: 4, pins: pinsAt(['v0', 3]) }));
  assert.deepEqual(idsOf(items), ['v1', 'v2', 'v0', 'v3']);
  assert.equal(items[2]?.score, 10, 'scored by the model');
  const { rules } = await scopeOf({});
  assert.deepEqual([...besidePins(rules, [{ item: await find('v0'), position: 1 }]).excludedIds], ['me', 'v0']);
  assert.equal(besidePins(rules, []), rules);
});
