import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureRecall } from '../../src/generations/recall.js';
import type { CandidateStream, Query } from '../../src/retrieval/retrieval.js';
import { loadedGeneration } from './loaded-generation.js';

const DEPTH = 20;

/** @param scoreOf exact score by item index @param found what the index finds, in place of the first items */
async function recallOf(scoreOf: (index: number) => number, found: number[]): Promise<number | null> {
  const { generation } = loadedGeneration({});
  await generation.retrieval.apply(
    Array.from({ length: 60 }, (_, n) => ({
      kind: 'put',
      fields: { item_id: `${n}`, title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false },
      created: 1,
      stored: { vector: Float32Array.of(1), id_share: 0 },
    })),
  );
  const search = async ({ exact }: Query): Promise<CandidateStream> => ({
    // the index is asked by another tower, whose scores say nothing about the exact ones
    next: async () =>
      (exact ? Array.from({ length: DEPTH }, (_, index) => index) : found).map((index) => ({ index, score: exact ? scoreOf(index) : index })),
    upperBound: () => -Infinity,
    history: [],
    score: async (items) => items.map(({ index }) => scoreOf(index)),
    scoresWithout: async () => [],
    timings: { queue: 0, user_tower: 0, search: 0 },
  });
  const measured = { ...generation, retrieval: { ...generation.retrieval, search } };
  const source = { events: { history: async () => [] }, interner: { find: () => undefined } };
  return measureRecall(measured, source, { users: [], queries: 2 });
}

const from = (first: number): number[] => Array.from({ length: DEPTH }, (_, n) => first + n);

test('of items with equal scores any may be found; one that scores less is a miss', async () => {
  assert.equal(await recallOf(() => 3.5, from(30)), 1, 'all are copies of one');
  assert.equal(await recallOf((index) => (index < 10 ? 5 : index < 40 ? 4 : 3), [...from(0).slice(0, 10), ...from(30).slice(0, 10)]), 1);
  assert.equal(await recallOf((index) => (index < 10 ? 5 : index < 40 ? 4 : 3), from(30)), 0.5, '10 copies of the last, 10 that score less');
  assert.equal(await recallOf((index) => -index, from(10)), 0.5);
});
