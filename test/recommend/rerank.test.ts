import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matcherOf, type Filter } from '../../src/domain/filter.js';
import type { ItemFields } from '../../src/domain/item.js';
import type { Boost } from '../../src/recommend/boost.js';
import { depthOf, rerank, type Reranked, type RerankOptions } from '../../src/recommend/rerank.js';
import type { ItemSource, RankedItem } from '../../src/recommend/source.js';
import { idsOf, itemOf, ranked } from './memory-context.js';

const PLAIN: RerankOptions = { k: 10, minScore: null, caps: [], diversity: 0, boost: null, maxSimilarity: null, pinned: [] };
const onePerAuthor = [{ field: 'author_id', max: 1 }];

interface ListedSource extends ItemSource {
  /** Of each call. */
  asked: { count: number; admits: Filter | null }[];
  taken(): number;
}

/** Ranked already. What a cap does not admit is held back until everything is admitted. @param isBlind it does not know that nothing is to come */
function sourceOf(items: readonly RankedItem[], isBlind = false): ListedSource {
  const asked: ListedSource['asked'] = [];
  let left = [...items];
  return {
    asked,
    shown: [],
    taken: () => items.length - left.length,
    next: async (count, admits) => {
      asked.push({ count, admits });
      const matches = admits === null ? () => true : matcherOf(admits);
      const page = left.filter(({ item }) => matches(item)).slice(0, count);
      left = left.filter((candidate) => !page.includes(candidate));
      return page;
    },
    upperBound: () => left[0]?.rankScore ?? (isBlind ? (items.at(-1)?.rankScore ?? 0) : -Infinity),
  };
}

/** Scores count, count - 1, … 1. */
const scored = (count: number, fields: (n: number) => Partial<ItemFields> = () => ({})): RankedItem[] =>
  Array.from({ length: count }, (_, n) => ranked(itemOf(`v${n}`, n, fields(n)), count - n));
const range = (count: number): string[] => Array.from({ length: count }, (_, n) => `v${n}`);
const noVectors = { vectors: async () => new Float32Array(0) };
const run = (source: ItemSource, options: Partial<RerankOptions>): Promise<Reranked> => rerank(source, { ...PLAIN, ...options }, noVectors);
const lifting = (gain: number, lifts: (candidate: RankedItem) => boolean, maxGain = gain): Boost => ({
  maxGain,
  apply: (candidate) => (lifts(candidate) ? { ...candidate, rankScore: candidate.rankScore + gain } : candidate),
});

test('k items that end a page end the search', async () => {
  const source = sourceOf(scored(100));
  const { items, limitedBy } = await run(source, { k: 16 });
  assert.deepEqual([idsOf(items), limitedBy, source.asked.length, source.taken()], [range(16), null, 1, 16]);
});

test('just as many items as there are is not too few', async () => {
  const authors = (n: number): Partial<ItemFields> => ({ author_id: `a${n}` });
  for (const isBlind of [false, true]) {
    const exact = await run(sourceOf(scored(10, authors), isBlind), { caps: onePerAuthor });
    assert.deepEqual([exact.items.length, exact.limitedBy], [10, null]);
    const short = await run(sourceOf(scored(9, authors), isBlind), { caps: onePerAuthor });
    assert.deepEqual([short.items.length, short.limitedBy], [9, null], 'nothing kept any out');
  }
});

test('a source that says that nothing is to come is not asked again', async () => {
  const source = sourceOf(scored(20, () => ({ author_id: 'busy' })));
  const { items, limitedBy } = await run(source, { k: 10, caps: onePerAuthor });
  assert.deepEqual([idsOf(items), limitedBy, source.asked.length], [['v0'], 'caps', 1]);
  assert.deepEqual(await run(sourceOf([]), {}), { items: [], limitedBy: null });
});

test('an item of just the least score wanted is kept, and what follows ends the search', async () => {
  const source = sourceOf(scored(1000));
  const { items, limitedBy } = await run(source, { k: 50, minScore: 991 });
  assert.deepEqual([idsOf(items), limitedBy], [range(10), 'min_score']);
  assert.ok(source.taken() <= 50);
  assert.deepEqual(await run(sourceOf(scored(10)), { minScore: 11 }), { items: [], limitedBy: 'min_score' });
  assert.equal((await run(sourceOf(scored(10)), { k: 5, minScore: 6 })).limitedBy, null, 'there are k of them');
});

test('caps are to blame where they kept out what scored enough, else the least score is', async () => {
  const busy = await run(sourceOf(scored(100, () => ({ author_id: 'busy' }))), { minScore: 98, caps: onePerAuthor });
  assert.deepEqual([idsOf(busy.items), busy.limitedBy], [['v0'], 'caps']);
  const single = await run(sourceOf(scored(100, () => ({ author_id: 'busy' }))), { minScore: 99, caps: onePerAuthor });
  assert.deepEqual([idsOf(single.items), single.limitedBy], [['v0'], 'caps'], 'a single one');
  const various = await run(sourceOf(scored(100, (n) => ({ author_id: `a${n}` }))), { minScore: 98, caps: onePerAuthor });
  assert.deepEqual([idsOf(various.items), various.limitedBy], [range(3), 'min_score']);
});

test('the caps go with the search for more, and are lifted to learn whether they kept any out', async () => {
  const fields = (n: number): Partial<ItemFields> => ({ author_id: n < 40 ? 'busy' : `a${n}` });
  const source = sourceOf(scored(45, fields));
  const { items, limitedBy } = await run(source, { k: 10, caps: onePerAuthor });
  assert.deepEqual([idsOf(items), limitedBy], [['v0', 'v40', 'v41', 'v42', 'v43', 'v44'], 'caps']);
  const [first, second] = source.asked;
  assert.equal(first?.admits, null);
  assert.deepEqual(second?.admits, { all: [{ not: { field: { builtIn: 'author_id' }, in: ['busy'], instants: [] } }] });
});

test('caps on lists count each entry', async () => {
  const fields = (n: number): Partial<ItemFields> => ({ attributes: { tags: n === 1 ? ['a', 'b'] : n === 2 ? ['b', 'b'] : [`t${n}`, 'a'] } });
  const { items, limitedBy } = await run(sourceOf(scored(6, fields)), { k: 5, caps: [{ field: 'tags', max: 2 }] });
  assert.deepEqual([idsOf(items), limitedBy], [['v0', 'v1', 'v2'], 'caps']);
});

test('a boost that cannot lift anything into the answer costs no further search', async () => {
  const source = sourceOf(scored(5000));
  const { items } = await run(source, { boost: lifting(0.5, ({ score }) => score === 4990) });
  assert.deepEqual([idsOf(items), source.taken()], [range(10), 100]);
});

test('a boost that could lift what is still to come is followed until it could not', async () => {
  const source = sourceOf(scored(5000));
  const { items } = await run(source, { boost: lifting(1000, ({ item }) => item.fields.item_id === 'v999') });
  assert.deepEqual(idsOf(items), ['v999', ...range(9)]);
  assert.ok(source.taken() >= 1009 && source.taken() < 5000, String(source.taken()));
});

test('boosts act among the 10,000 best: what scores less keeps its place behind them', async () => {
  const source = sourceOf(scored(10_020));
  const { items } = await run(source, { k: 10_010, boost: lifting(1e6, ({ score }) => score <= 25) });
  assert.deepEqual(idsOf(items.slice(0, 5)), ['v9995', 'v9996', 'v9997', 'v9998', 'v9999']);
  assert.deepEqual(idsOf(items.slice(10_000)), range(10_010).slice(10_000));
});

test('the least score is that of the model, whatever a boost adds', async () => {
  const { items } = await run(sourceOf(scored(20)), { minScore: 16, boost: lifting(100, ({ score }) => score <= 16) });
  assert.deepEqual(idsOf(items), ['v4', 'v0', 'v1', 'v2', 'v3']);
});

test('stages that change the order look at more than k', () => {
  const boost = lifting(1, () => true);
  const depths = [PLAIN, { ...PLAIN, caps: onePerAuthor }, { ...PLAIN, diversity: 0.1 }, { ...PLAIN, boost, k: 200 }].map(depthOf);
  assert.deepEqual(depths, [10, 20, 100, 1000]);
});
