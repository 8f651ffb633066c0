import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overloaded } from '../../src/errors.js';
import type { RecommendContext } from '../../src/recommend/context.js';
import { rank, type Ranking } from '../../src/recommend/rank.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { SearchEnded, type Query, type Retrieval } from '../../src/retrieval/retrieval.js';
import { falling, idsOf, memoryContext, type ContextItem, type MemoryContext } from './memory-context.js';

const ITEMS: ContextItem[] = [
  ...falling(6, 0.1, (n) => ({ positives: n, fields: { author_id: 'a' } })),
  { id: 'bare', similarity: null, positives: 9 },
];
const POPULAR = ['bare', 'v5', 'v4', 'v3', 'v2', 'v1', 'v0'];
const never = <Value>(): Promise<Value> => new Promise(() => undefined);

async function ranking(feed: MemoryContext, request: Partial<RecommendRequest>, changed: Partial<RecommendContext> = {}): Promise<Ranking> {
  const scope = await feed.scopeOf(request, changed);
  return rank(scope, scope.rules, scope.request.k);
}
/** The same with another search. */
const withSearch = async (feed: MemoryContext, request: Partial<RecommendRequest>, search: Retrieval['search']): Promise<Ranking> =>
  ranking(feed, request, { retrieval: { ...feed.retrieval, search } });

test('the model ranks who has a history, popularity who has none or one that nothing is known of', async () => {
  const feed = await memoryContext(ITEMS);
  const told: [Partial<RecommendRequest>, Ranking['fallback'], string[]][] = [
    [{}, null, ['v0', 'v1', 'v2', 'v3', 'v4', 'v5']],
    [{ history: [] }, 'no_history', POPULAR],
    [{ history: ['unknown'] }, 'unknown_history', POPULAR],
    [{ history: ['bare'] }, 'unknown_history', POPULAR.slice(1)],
    [{ without: ['me'] }, 'unknown_history', POPULAR],
  ];
  for (const [request, fallback, ids] of told) {
    const { items, stream, ...answer } = await ranking(feed, request);
    assert.deepEqual([answer.fallback, [...idsOf(items)].sort()], [fallback, [...ids].sort()], JSON.stringify(request));
    assert.equal(stream === null, fallback !== null);
    assert.ok(items.every(({ reason }) => reason === (fallback === null ? 'history' : 'popular')));
  }
});

test('until the catalogue is loaded popularity ranks, around an item too', async () => {
  const feed = await memoryContext(ITEMS);
  for (const request of [{}, { similarTo: 'v0' }, { history: [] }])
    assert.equal((await ranking(feed, request, { isReady: () => false })).fallback, 'starting');
});

test('around an item the others are similar; an item without a vector has none', async () => {
  const feed = await memoryContext(ITEMS);
  const { items } = await ranking(feed, { similarTo: 'v5', history: [] });
  assert.deepEqual([idsOf(items), items[0]?.reason, items[0]?.score], [['v0', 'v1', 'v2', 'v3', 'v4'], 'similar', 1.5]);
  await assert.rejects(ranking(feed, { similarTo: 'bare' }), { status: 409, code: 'item_without_vector' });
});

test('a deadline that has passed before the search leaves it out', async () => {
  const feed = await memoryContext(ITEMS);
  let asked: boolean | null = null;
  const answer = await withSearch(feed, { deadlineMs: 0 }, async (query) => {
    asked = query.isLate();
    throw new SearchEnded();
  });
  assert.deepEqual([answer.fallback, asked], ['deadline', true]);
});

test('a search that does not end by the deadline is not waited for', async () => {
  const feed = await memoryContext(ITEMS);
  assert.equal((await withSearch(feed, { deadlineMs: 3 }, never)).fallback, 'deadline');
  const stuck: Retrieval['search'] = async (...asked) => {
    const stream = await feed.retrieval.search(...asked);
    return stream && { ...stream, next: never };
  };
  assert.equal((await withSearch(feed, { deadlineMs: 3 }, stuck)).fallback, 'deadline', 'found, but not ranked');
});

test('a search that ends in time has lost what it was to search by', async () => {
  const ended = async (): Promise<never> => {
    throw new SearchEnded();
  };
  assert.equal((await withSearch(await memoryContext(ITEMS), {}, ended)).fallback, 'unknown_history');
});

test('an overload is the answer, not a reason for another ranking', async () => {
  const full = async (): Promise<never> => {
    throw overloaded('search');
  };
  await assert.rejects(withSearch(await memoryContext(ITEMS), { deadlineMs: 60_000 }, full), { status: 503, code: 'overloaded' });
});

test('what leaves too few items is told: caps before the filter, and the filter on a first page only', async () => {
  const feed = await memoryContext(ITEMS);
  const { context, scopeOf } = feed;
  const filter = { field: 'author_id', eq: 'a' };
  const { identity, now } = await scopeOf({ filter });
  const cursor = context.cursors.seal([], identity, now);
  const caps = [{ field: 'author_id', max: 1 }];
  const told = await Promise.all(
    [{}, { filter }, { filter, cursor }, { filter, caps }, { filter, minScore: 8.5 }].map((request) => ranking(feed, request)),
  );
  assert.deepEqual(
    told.map(({ shortReason }) => shortReason),
    ['catalogue_exhausted', 'filter', 'catalogue_exhausted', 'caps', 'min_score'],
  );
});

test('the least score is meant for the model: it cuts nothing of the popular items', async () => {
  const { items, shortReason, scoresOf } = await ranking(await memoryContext(ITEMS), { history: [], minScore: 1000 });
  assert.deepEqual([items.length, shortReason], [7, 'catalogue_exhausted']);
  const scores = await scoresOf(items.map(({ item }) => item));
  scores.forEach((score, n) => assert.ok(Math.abs(score - (items[n]?.score ?? NaN)) < 0.01, 'counts, not logits'));
});

test('the search is told what will be asked of it', async () => {
  const feed = await memoryContext(ITEMS);
  const { index } = await feed.itemOf('v1');
  const queryOf = async (request: Partial<RecommendRequest>): Promise<Query> => {
    let query: Query | null = null;
    await withSearch(feed, request, async (asked) => {
      query = asked;
      return null;
    });
    assert.ok(query);
    return query;
  };
  const { disliked, exact, explain, scoresOthers } = await queryOf({});
  assert.deepEqual([disliked, exact, explain, scoresOthers], [[], false, false, false]);
  assert.deepEqual((await queryOf({ disliked: ['v1', 'unknown'] })).disliked, [index]);
  for (const request of [{ pins: [{ itemId: 'v1', position: 1 }] }, { exploration: { slots: 1, seed: 1 } }])
    assert.equal((await queryOf(request)).scoresOthers, true);
});
