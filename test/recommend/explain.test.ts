import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Explanation, Recommended } from '../../src/recommend/answer.js';
import { explain } from '../../src/recommend/explain.js';
import { rank, type Ranking } from '../../src/recommend/rank.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import type { RequestScope } from '../../src/recommend/scope.js';
import type { CandidateStream } from '../../src/retrieval/retrieval.js';
import { falling, memoryContext } from './memory-context.js';

/** Ranks two items, and explains them as if the stream said this. */
async function explained(
  request: Partial<RecommendRequest>,
  stream: Partial<CandidateStream> | null = {},
  change: (item: Recommended) => Recommended = (item) => item,
  scoped: Partial<RequestScope> = {},
): Promise<Explanation[] | null> {
  const { scopeOf } = await memoryContext([...falling(2, 0.5), { id: 'h', similarity: 0, fields: { hidden: true } }]);
  const scope = await scopeOf({ k: 2, ...request });
  const ranking = await rank(scope, scope.rules, 2);
  const changed: Ranking = { ...ranking, stream: ranking.stream && stream && { ...ranking.stream, ...stream } };
  return explain({ ...scope, ...scoped }, ranking.items.map(change), changed);
}

test('nothing is explained unless it was asked for', async () => {
  const scoresWithout = async (): Promise<never> => assert.fail('asked');
  assert.equal(await explained({}, { scoresWithout }), null);
});

test('the contribution of an item is what the score loses without it, the greatest first', async () => {
  const scoresWithout = async (): Promise<number[][]> => [
    [9, 4],
    [5, 7],
  ];
  const explanations = await explained({ explain: true, history: ['me', 'h'] }, { scoresWithout });
  assert.deepEqual(explanations, [
    {
      id_share: 0.5,
      history: [
        { item_id: 'h', contribution: 6 },
        { item_id: 'me', contribution: 1 },
      ],
      moved_by: [],
    },
    {
      id_share: 0.5,
      history: [
        { item_id: 'me', contribution: 0 },
        { item_id: 'h', contribution: -2 },
      ],
      moved_by: [],
    },
  ]);
});

test('a history of one item contributes the whole score', async () => {
  const [first] = (await explained({ explain: true })) ?? [];
  assert.deepEqual(first?.history, [{ item_id: 'me', contribution: 10 }]);
});

test('only what the history has brought is explained by it', async () => {
  const pinned = (item: Recommended): Recommended => ({ ...item, reason: 'pinned', movedBy: ['pin'] });
  for (const explanation of (await explained({ explain: true }, {}, pinned)) ?? [])
    assert.deepEqual(explanation, { id_share: 0.5, history: [], moved_by: ['pin'] });
  const popular = (await explained({ explain: true, history: [] })) ?? [];
  assert.deepEqual(
    popular.map(({ history }) => history),
    [[], []],
  );
});

test('the layers of each item come when they are asked for, null where there are none', async () => {
  const { scopeOf } = await memoryContext(falling(2, 0.5));
  const layerShares = async (itemId: string): Promise<number[] | null> => (itemId === 'v0' ? [0.25, 0.75] : null);
  const scope = await scopeOf({ k: 2, explain: true, explainLayers: true }, { layerShares });
  const ranking = await rank(scope, scope.rules, 2);
  const explanations = (await explain(scope, ranking.items, ranking)) ?? [];
  assert.deepEqual(
    explanations.map(({ layers }) => layers),
    [[0.25, 0.75], null],
  );
});

test('layers that would come too late are left out, and the rest of the explanation stays', async () => {
  const late = { deadline: performance.now() - 1 };
  const explanations = (await explained({ explain: true, explainLayers: true }, {}, undefined, late)) ?? [];
  assert.deepEqual(
    explanations.map(({ layers, history }) => [layers, history.length]),
    [
      [null, 1],
      [null, 1],
    ],
  );
});

test('an item tower that does not answer by the deadline is not waited for', async () => {
  const { scopeOf } = await memoryContext(falling(2, 0.5));
  const scope = await scopeOf({ k: 2, explain: true, explainLayers: true }, { layerShares: () => new Promise(() => undefined) });
  const ranking = await rank(scope, scope.rules, 2);
  const explanations = (await explain({ ...scope, deadline: performance.now() + 2 }, ranking.items, ranking)) ?? [];
  assert.deepEqual(
    explanations.map(({ layers }) => layers),
    [null, null],
  );
});
