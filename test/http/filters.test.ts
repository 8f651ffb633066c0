import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf, idsOf } from '../api.js';
import { buildForSuite, clip, demoStates } from '../build.js';
import { CLIPS, HISTORY, numberOf, putTopics, topicOf } from './topic-catalogue.js';

describe('filters', () => {
  const server = buildForSuite({}, putTopics);
  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  const filters: [string, object, (n: number) => boolean][] = [
    ['eq on a string', { field: 'topic', eq: 'travel' }, (n) => topicOf(n) === 'travel'],
    ['in', { field: 'topic', in: ['travel', 'music'] }, (n) => ['travel', 'music'].includes(topicOf(n))],
    ['eq on a member of a list', { field: 'attributes.tags', eq: 'tag-4' }, (n) => n % 5 === 4],
    ['a range of numbers', { field: 'duration_s', gte: 10, lt: 30 }, (n) => n >= 10 && n < 30],
    ['a boolean', { field: 'live', eq: true }, (n) => n % 2 === 0],
    ['a time', { field: 'published', gte: '2026-10-20T00:00:00Z' }, (n) => (n % 28) + 1 >= 20],
    ['exists', { field: 'rare', exists: true }, (n) => n <= 5],
    ['exists: false', { field: 'rare', exists: false }, (n) => n > 5],
    ['the author', { field: 'author_id', eq: 'author-3' }, (n) => n % 10 === 3],
    ['not', { not: { field: 'topic', eq: 'travel' } }, (n) => topicOf(n) !== 'travel'],
    [
      'all and any',
      { all: [{ field: 'duration_s', lte: 60 }, { any: [{ field: 'topic', eq: 'sport' }, { not: { field: 'live', eq: true } }] }] },
      (n) => n <= 60 && (topicOf(n) === 'sport' || n % 2 === 1),
    ],
  ];
  for (const [name, filter, passes] of filters) {
    test(`filter by ${name}: all that pass, by model and by fallback, and nothing else`, async () => {
      const expected = Array.from({ length: CLIPS }, (_, index) => index + 1).filter(passes);
      const byModel = await ask({ history: HISTORY, k: 200, filter });
      assert.deepEqual(
        idsOf(byModel)
          .map(numberOf)
          .sort((a, b) => a - b),
        expected.filter((n) => !HISTORY.includes(clip(n))),
      );
      assert.equal(byModel.short_reason, 'filter');
      const fallback = await ask({ user_id: 'stranger', k: 200, filter });
      assert.deepEqual(
        idsOf(fallback)
          .map(numberOf)
          .sort((a, b) => a - b),
        expected,
      );
      assert.equal((await ask({ history: HISTORY, k: 3, filter: { all: [filter] } })).items.length, Math.min(3, expected.length));
    });
  }

  const badFilters: [string, unknown, string][] = [
    ['an unknown attribute', { field: 'topik', eq: 'x' }, '/filter/field'],
    ['a wrong type', { field: 'topic', eq: 3 }, '/filter/eq'],
    ['a comparison of text', { all: [{ field: 'topic', gte: 3 }] }, '/filter/all/0/gte'],
    ['a malformed time', { field: 'published', gte: 'yesterday' }, '/filter/gte'],
    ['an unknown operator', { field: 'topic', like: 'x' }, '/filter/like'],
    ['no operator', { not: { field: 'topic' } }, '/filter/not'],
    ['an empty group', { any: [] }, '/filter/any'],
    ['two groups in one', { any: [{ field: 'live', eq: true }], not: { field: 'live', eq: true } }, '/filter'],
    ['a list in eq', { field: 'topic', eq: ['x'] }, '/filter/eq'],
    ['a value of in', { field: 'topic', in: ['travel', 7] }, '/filter/in/1'],
    ['too deep', Array.from({ length: 12 }).reduce<object>((inner) => ({ not: inner }), { field: 'live', eq: true }), '/filter' + '/not'.repeat(9)],
  ];
  for (const [name, filter, pointer] of badFilters) {
    test(`a filter with ${name} is refused at ${pointer}`, async () => {
      const answer = await server.api.recommend({ history: HISTORY, filter });
      assert.equal(answer.status, 422, answer.text);
      const { errors } = answer.problem;
      assert.deepEqual(
        errors.map((error) => error.pointer),
        [pointer],
      );
    });
  }

  const contradictions: [string, object, string][] = [
    ['more places for new items than the answer has', { k: 5, exploration: { slots: 6 } }, '/exploration/slots'],
    [
      'two pins at one position',
      {
        k: 5,
        pins: [
          { item_id: clip(1), position: 2 },
          { item_id: clip(2), position: 2 },
        ],
      },
      '/pins/1/position',
    ],
    ['a mix by an attribute that no item has', { fallback_mix_by: 'attributes.nothing' }, '/fallback_mix_by'],
    ['shares of layers for more than 50 items', { k: 51, explain: 'layers' }, '/explain'],
  ];
  for (const [name, wishes, pointer] of contradictions) {
    test(`${name}: refused at ${pointer}`, async () => {
      const answer = await server.api.recommend({ history: HISTORY, ...wishes });
      assert.equal(answer.status, 422, answer.text);
      assert.deepEqual(
        answer.problem.errors.map((error) => error.pointer),
        [pointer],
      );
    });
  }

  test('filters are bounded in size, all of a request together, and the largest can be replayed', async () => {
    const filterOf = (values: number) => ({ field: 'item_id', in: Array.from({ length: values }, (_, n) => `${n}`.padStart(125, 'x')) });
    const largest = await ask({ user_id: 'stranger', k: 1, filter: { not: filterOf(500) } });
    const replay = await server.api.replayRecommendation(largest.recommendation_id);
    assert.deepEqual(replay.body.request, { filter: { not: filterOf(500) } });
    const refused = async (wishes: object): Promise<string[]> => {
      const answer = await server.api.recommend({ user_id: 'stranger', ...wishes });
      assert.equal(answer.status, 422, answer.text);
      return answer.problem.errors.map(({ pointer }) => pointer);
    };
    assert.deepEqual(await refused({ filter: filterOf(520) }), ['/filter']);
    assert.deepEqual(await refused({ filter: filterOf(300), boosts: [{ filter: filterOf(300), factor: 2 }] }), ['/boosts/0/filter']);
    const deep = Array.from({ length: 100_000 }).reduce<string>((inner) => `{"not":${inner}}`, '{"field":"live","eq":true}');
    const answer = await server.api.recommend(`{"user_id":"stranger","filter":${deep}}`, { headers: { 'content-type': 'application/json' } });
    assert.deepEqual([answer.status, answer.problem.code], [413, 'body_too_complex']);
  });

  test('a filter follows what is put, patched, hidden and deleted', async () => {
    const filter = { field: 'topic', eq: 'brand-new' };
    const put = (id: string, topic: string) => server.api.putItem(id, { attributes: { topic }, hidden_states: demoStates(clip(300)) });
    const patch = (payload: object) => server.api.patchItem('n1', payload);
    const found = async (): Promise<string[]> => idsOf(await ask({ history: HISTORY, k: 10, filter })).sort();
    await put('n1', 'brand-new');
    assert.deepEqual(await found(), ['n1']);
    await put('n2', 'brand-new');
    assert.deepEqual(await found(), ['n1', 'n2']);
    await patch({ attributes: { topic: 'old' } });
    assert.deepEqual(await found(), ['n2']);
    await patch({ attributes: { topic: 'brand-new' }, hidden: true });
    assert.deepEqual(await found(), ['n2']);
    await patch({ hidden: false });
    assert.deepEqual(await found(), ['n1', 'n2']);
    await server.api.deleteItem('n1');
    assert.deepEqual(await found(), ['n2']);
    await server.api.deleteItem('n2');
    assert.equal((await server.api.recommend({ history: HISTORY, filter })).problem.code === 'invalid_request', false); // topic is still known
    assert.deepEqual(await found(), []);
  });
});
