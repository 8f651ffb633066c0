import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Recommended } from '../../src/recommend/answer.js';
import { explore, type Explored } from '../../src/recommend/explore.js';
import { rank } from '../../src/recommend/rank.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { CREATED, falling, HOUR, idsOf, memoryContext, type ContextItem, type MemoryContext } from './memory-context.js';

const NEW = 40;
/** 20 old items and 40 new ones, which resemble nobody. */
const open = (rest: (n: number) => Partial<ContextItem> = () => ({})): Promise<MemoryContext> =>
  memoryContext([
    ...falling(20, 0.01, (n) => ({ created: CREATED - 2 * HOUR, fields: { author_id: `old-${n}` } })),
    ...Array.from({ length: NEW }, (_, n) => ({ id: `new${n}`, similarity: 0.1, ...rest(n) })),
  ]);

async function run(feed: MemoryContext, request: Partial<RecommendRequest>): Promise<Explored> {
  const scope = await feed.scopeOf(request);
  const { k } = scope.request;
  return explore(scope, await rank(scope, scope.rules, k), scope.rules, k);
}
const drawn = ({ items }: Explored): readonly Recommended[] => items.filter(({ reason }) => reason === 'exploration');

test('without exploration the ranking stays', async () => {
  const { items, seed } = await run(await open(), { k: 5 });
  assert.deepEqual([idsOf(items), seed], [['v0', 'v1', 'v2', 'v3', 'v4'], null]);
});

test('a seed draws the same items again, another seed others', async () => {
  const feed = await open();
  const draw = async (seed: number): Promise<string[]> => idsOf(drawn(await run(feed, { k: 10, exploration: { slots: 4, seed } })));
  assert.deepEqual(await draw(3), await draw(3));
  assert.notDeepEqual(await draw(3), await draw(4));
});

test('a seed that nobody gave is told, and repeats the draw', async () => {
  const feed = await open();
  const first = await run(feed, { exploration: { slots: 4, seed: null } });
  assert.ok(first.seed !== null);
  assert.deepEqual(idsOf((await run(feed, { exploration: { slots: 4, seed: first.seed } })).items), idsOf(first.items));
});

test('the propensity is the number of places over that of the eligible items', async () => {
  const feed = await open();
  const answer = await run(feed, { k: 10, exclude: ['new0', 'new1'], exploration: { slots: 3, seed: 1 } });
  assert.deepEqual(
    drawn(answer).map(({ propensity }) => propensity),
    Array.from({ length: 3 }, () => 3 / (NEW - 2)),
  );
  assert.equal(answer.items.length, 10);
  assert.deepEqual(
    answer.items.flatMap(({ reason }, place) => (reason === 'exploration' ? [place] : [])),
    [2, 5, 7],
    'evenly spread',
  );
});

test('new items have the score of the model', async () => {
  for (const { score, movedBy } of drawn(await run(await open(), { exploration: { slots: 2, seed: 1 } }))) {
    assert.ok(Math.abs(score - 1) < 1e-5);
    assert.deepEqual(movedBy, ['exploration']);
  }
});

test('what is too old, was shown often enough, is not eligible or is ranked already is not drawn', async () => {
  const feed = await open(
    (n) => [{ created: CREATED - 2 * HOUR }, { shown: 10 }, { fields: { hidden: true } }, { similarity: 1 }, { shown: 9 }][n] ?? {},
  );
  const all = await run(feed, { k: 60, exclude: ['new5'], minScore: 5, exploration: { slots: 60, seed: 1 } });
  const ids = new Set(idsOf(drawn(all)));
  for (const id of ['new0', 'new1', 'new2', 'new3', 'new5']) assert.ok(!ids.has(id), id);
  assert.ok(ids.has('new4'), 'shown once less than the budget');
  assert.equal(ids.size, NEW - 5);
});

test('what was deleted since the fresh items were ranked is not drawn', async () => {
  const feed = await open();
  await run(feed, { exploration: { slots: 1, seed: 1 } });
  await feed.retrieval.apply(Array.from({ length: NEW - 1 }, (_, n) => ({ kind: 'delete', itemId: `new${n}` })));
  const answer = await run(feed, { k: 10, exploration: { slots: 4, seed: 1 } });
  assert.deepEqual([idsOf(drawn(answer)), answer.items.length], [['new39'], 10]);
});

test('where nothing is new the ranking stays, and the seed is told', async () => {
  const feed = await memoryContext(falling(20, 0.01, () => ({ created: CREATED - 2 * HOUR })));
  const { items, seed } = await run(feed, { k: 5, exploration: { slots: 3, seed: 9 } });
  assert.deepEqual([idsOf(items), seed], [['v0', 'v1', 'v2', 'v3', 'v4'], 9]);
});

test('new items keep within the caps together with the ranked ones', async () => {
  const feed = await open(() => ({ fields: { author_id: 'old-0' } }));
  const caps = [{ field: 'author_id', max: 1 }];
  const capped = await run(feed, { k: 5, caps, exploration: { slots: 3, seed: 1 } });
  assert.deepEqual(idsOf(capped.items), ['v0', 'v1', 'v2', 'v3', 'v4'], 'the first ranked item is of their author');
  const all = await run(feed, { k: 3, caps, exploration: { slots: 3, seed: 1 } });
  assert.equal(all.items.length, 3);
});
