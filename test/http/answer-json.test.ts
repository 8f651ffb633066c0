import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { answerJson, numberJson } from '../../src/http/answer-json.js';
import { Answer } from '../../src/http/recommendation-schema.js';

const plain: Answer = {
  recommendation_id: 'rec_1',
  items: [
    { item_id: 'v1', score: 6.067412, reason: 'history' },
    { item_id: 'v2', score: -0.5, reason: 'similar' },
    { item_id: 'v3', score: 1 / 3, reason: 'popular' },
  ],
  next_cursor: 'AQ_-',
  end_reason: null,
  fallback: null,
  short_reason: 'caps',
  model: { fingerprint: 'f', version: 'a "quoted" one' },
  sequence: 17,
  timings_ms: { queue: 0.125, history: 0, user_tower: 1.5, search: 0.001, rules: 0.02, total: 1.646 },
};
const detailed: Answer = {
  ...plain,
  items: [
    { item_id: 'v1', score: 2, reason: 'exploration', propensity: 0.04 },
    { item_id: 'v2', score: 1, reason: 'pinned', item: { title: 'a\nb', tags: ['x'], author_id: null } },
    {
      item_id: 'v3',
      score: 0,
      reason: 'history',
      explain: { id_share: null, history: [{ item_id: 'v9', contribution: 0.25 }], layers: [0.5, 0.5], moved_by: ['boost:0'] },
    },
  ],
  next_cursor: null,
  end_reason: 'exhausted',
  fallback: 'deadline',
  experiment: { name: 'e', arm: 'b' },
  exploration_seed: 3,
  layer_weights: [0.25, 0.75],
};
const strange: Answer = {
  ...plain,
  items: ['"', '\\', 'a"b\\c', 'наклейка', '片', '🎬', '\ud800', '\u2028', '</script>'].map((id) => ({ item_id: id, score: 1, reason: 'history' })),
};

/** What the serialiser makes of it that the framework builds from the schema. */
async function bySchema(answer: Answer): Promise<unknown> {
  const app = Fastify();
  app.get('/', { schema: { response: { 200: Answer } } }, async () => answer);
  return (await app.inject('/')).json();
}

test('an answer says what the schema says of it', async () => {
  for (const answer of [plain, detailed, strange, { ...plain, items: [] }])
    assert.deepEqual(JSON.parse(answerJson(answer)) as unknown, await bySchema(answer));
});

test('what an item of the served log has besides is not told', async () => {
  const moved = { ...plain, items: [{ item_id: 'v1', score: 1, reason: 'history', propensity: 0.5, moved_by: ['freshness'] }] };
  assert.deepEqual(JSON.parse(answerJson(moved)) as unknown, await bySchema(moved));
  assert.doesNotMatch(answerJson(moved), /moved_by/);
});

test('numbers are written as JSON writes them', () => {
  const borders = [
    0,
    -0,
    1,
    -1,
    0.1,
    1e-6,
    1.5e-6,
    1e-7,
    0.000_1,
    0.001,
    0.999_999,
    2147.483_647,
    2147.483_648,
    -7.000_01,
    1e21,
    5e-324,
    NaN,
    Infinity,
  ];
  for (const value of borders) assert.equal(numberJson(value), JSON.stringify(value));
  for (let n = -30_000; n <= 30_000; n++) {
    const millionths = (n * 7919) / 1e6;
    assert.equal(numberJson(millionths), JSON.stringify(millionths));
    assert.equal(numberJson(n / 1000), JSON.stringify(n / 1000));
    assert.equal(numberJson(n / 7), JSON.stringify(n / 7));
  }
});
