import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseDiverse } from '../../src/recommend/diversify.js';
import { countCaps, type CapCounter } from '../../src/domain/caps.js';
import { idsOf, itemOf, ranked } from './memory-context.js';

interface Given {
  score: number;
  vector: [number, number];
  author?: string;
}

async function choose(given: readonly Given[], k: number, diversity: number, caps: CapCounter | null = null): Promise<string[]> {
  const candidates = given.map(({ score, author = null }, n) => ranked(itemOf(`v${n}`, n, { author_id: author }), score));
  return idsOf(await chooseDiverse(candidates, k, diversity, caps, Float32Array.from(given.flatMap(({ vector }) => vector))));
}

const NORTH: [number, number] = [0, 2];
const EAST: [number, number] = [3, 0];
const GIVEN: Given[] = [
  { score: 9, vector: NORTH },
  { score: 8, vector: NORTH },
  { score: 1, vector: EAST },
  { score: 0, vector: [0, 0] },
];

test('without diversity the order is that of the scores, with nothing else that of the differences', async () => {
  assert.deepEqual(await choose(GIVEN, 4, 0), ['v0', 'v1', 'v2', 'v3']);
  assert.deepEqual(await choose(GIVEN, 4, 1), ['v0', 'v2', 'v3', 'v1'], 'what has no vector is unlike everything');
});

test('how long a vector is does not matter', async () => {
  const given: Given[] = [
    { score: 3, vector: [0, 0.01] },
    { score: 2, vector: [0, 100] },
    { score: 1, vector: [0.01, 0] },
  ];
  assert.deepEqual(await choose(given, 3, 0.9), ['v0', 'v2', 'v1']);
});

test('equal scores, one candidate and none are no special cases', async () => {
  const equal = GIVEN.map((candidate) => ({ ...candidate, score: 5 }));
  assert.deepEqual(await choose(equal, 2, 0.5), ['v0', 'v2']);
  assert.deepEqual(await choose(GIVEN.slice(0, 1), 5, 0.5), ['v0']);
  assert.deepEqual(await choose([], 5, 0.5), []);
  assert.deepEqual(await choose(GIVEN, 0, 0.5), []);
});

test('caps count what is chosen', async () => {
  const given = GIVEN.map((candidate, n) => ({ ...candidate, author: n < 3 ? 'a' : 'b' }));
  assert.deepEqual(await choose(given, 4, 0.5, countCaps([{ field: 'author_id', max: 1 }])), ['v0', 'v3']);
});
