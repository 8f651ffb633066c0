import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBoost, type Boost } from '../../src/recommend/boost.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import type { FilteredBoost } from '../../src/recommend/rules.js';
import { CREATED, HOUR, itemOf, memoryContext, ranked } from './memory-context.js';

const boostOf = async (
  request: Partial<RecommendRequest>,
  boosts: FilteredBoost[] = [],
  impressions: Record<string, number> = {},
): Promise<Boost | null> => {
  const { context, requestOf } = await memoryContext([], { impressions });
  return createBoost(context, requestOf(request), { filter: null, boosts }, CREATED);
};
const gainOf = (boost: Boost | null, ...item: Parameters<typeof itemOf>): number => (boost?.apply(ranked(itemOf(...item), 5)).rankScore ?? NaN) - 5;
const isClose = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;

test('nothing is boosted where nothing can move', async () => {
  const rotation = { withinMs: HOUR, factor: 0.5 };
  assert.equal(await boostOf({}), null);
  assert.equal(await boostOf({ rotation, userId: 'u' }), null, 'nothing was shown');
  assert.equal(await boostOf({ rotation }, [], { a: 1 }), null, 'to nobody');
});

test('freshness halves with each half-life, and what is still to come gains no more than what is new', async () => {
  const boost = await boostOf({ freshness: { halfLifeMs: HOUR, factor: 4 } });
  assert.ok(isClose(gainOf(boost, 'new', 0), Math.log(4)));
  assert.ok(isClose(gainOf(boost, 'old', 0, {}, CREATED - 2 * HOUR), Math.log(4) / 4));
  assert.ok(isClose(gainOf(boost, 'later', 0, { available_from: CREATED + HOUR }), Math.log(4)));
  assert.ok(isClose(gainOf(boost, 'released', 0, { available_from: CREATED - HOUR }), Math.log(4) / 2), 'not from when it was created');
  assert.equal(boost?.maxGain, Math.log(4));
});

test('rotation counts once for each time that the item was shown', async () => {
  const down = await boostOf({ rotation: { withinMs: HOUR, factor: 0.5 }, userId: 'u' }, [], { a: 3, b: 1 });
  assert.ok(isClose(gainOf(down, 'a', 0), 3 * Math.log(0.5)));
  assert.equal(gainOf(down, 'other', 0), 0);
  assert.equal(down?.maxGain, 0, 'what only sinks lifts nothing');
  const up = await boostOf({ rotation: { withinMs: HOUR, factor: 2 }, userId: 'u' }, [], { a: 3, b: 1 });
  assert.ok(isClose(up?.maxGain ?? NaN, 3 * Math.log(2)));
});

test('no candidate gains more than it is said, and each rule that moved it is named', async () => {
  const boosts = [1, -2, 3].map((gain, n) => ({ gain, name: `boost:${n}`, matches: () => n !== 1 }));
  const boost = await boostOf({ freshness: { halfLifeMs: HOUR, factor: 0.5 } }, boosts);
  const boosted = boost?.apply({ ...ranked(itemOf('a', 0), 5), movedBy: ['before'] });
  assert.deepEqual(boosted?.movedBy, ['before', 'boost:0', 'boost:2', 'freshness']);
  assert.equal(boost?.maxGain, 4);
  assert.ok(isClose(boosted?.rankScore ?? NaN, 9 + Math.log(0.5)));
  assert.equal(boosted?.score, 5, 'the score stays');
});
