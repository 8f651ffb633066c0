import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf, idsOf } from '../api.js';
import { build, buildForSuite, clip, demoStates, otherModel, view, type Built } from '../build.js';
import { CLIPS, HISTORY, numberOf, putTopics, topicOf } from './topic-catalogue.js';
import { temporaryFolder } from '../temporary-folder.js';

describe('pages', () => {
  const server = buildForSuite({}, putTopics);
  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  test('pages of a cursor hold every item once, whatever is written between them; the last has no cursor', async () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    for (let page = 0; ; page++) {
      const answer: Recommendations = await ask({ history: HISTORY, k: 25, ...(cursor !== null && { cursor }) });
      seen.push(...idsOf(answer));
      cursor = answer.next_cursor;
      assert.equal(answer.end_reason, cursor === null ? 'exhausted' : null);
      if (cursor === null) break;
      // a shown item gets another vector, and comes no second time
      await server.api.putItem(seen[page] ?? '', { hidden_states: demoStates(clip(400 + page)), attributes: { topic: 'moved' } });
    }
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(seen.length, CLIPS - HISTORY.length);
    for (let page = 0; page < 5; page++) {
      const n = numberOf(seen[page] ?? '');
      const attributes = { topic: topicOf(n), duration_s: n, live: n % 2 === 0, tags: [`tag-${n % 3}`, `tag-${n % 5}`] };
      await server.api.putItem(clip(n), { author_id: `author-${n % 10}`, attributes, hidden_states: demoStates(clip(n)) });
    }
  });

  test('a cursor that is forged, of another user or another filter is refused', async () => {
    const { next_cursor: cursor } = await ask({ user_id: 'pager', k: 5 });
    const refused = async (body: object): Promise<string> => {
      const answer = await server.api.recommend({ k: 5, ...body });
      assert.equal(answer.status, 422, answer.text);
      return answer.problem.errors[0]?.detail ?? '';
    };
    const forged = `${cursor?.slice(0, -2)}AA`;
    assert.match(await refused({ user_id: 'pager', cursor: forged }), /not a cursor of this server/);
    assert.match(await refused({ user_id: 'other', cursor }), /belongs to another/);
    assert.match(await refused({ user_id: 'pager', filter: { field: 'live', eq: true }, cursor }), /belongs to another/);
  });

  test('a batch answers each request in order; a bad one does not spoil the others', async () => {
    const answer = await server.api.recommendBatch([
      { history: HISTORY, k: 3 },
      { history: HISTORY, k: 3, filter: { field: 'nope', eq: 1 } },
      { user_id: 'stranger', k: 2 },
    ]);
    assert.equal(answer.status, 207);
    const { results } = answer.body;
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 422, 200],
    );
    assert.deepEqual(idsOf(results[0]?.answer as Recommendations), idsOf(await ask({ history: HISTORY, k: 3 })));
    assert.equal(results[1]?.error?.errors[0]?.pointer, '/filter/field');
    assert.equal(results[2]?.answer?.fallback, 'no_history');
    assert.equal((await server.api.recommendBatch([{ history: HISTORY, k: 'x' }])).status, 422);
  });

  test('similar items obey the same rules, and leave out what the named user has met', async () => {
    const similar = async (payload: object): Promise<Recommendations> => (await server.api.similarItems(clip(40), payload)).body;
    const plain = idsOf(await similar({ k: 10 }));
    assert.ok(!plain.includes(clip(40)));
    const filtered = await similar({ k: 10, filter: { field: 'topic', eq: 'music' }, max_per_author: 1 });
    assert.ok(idsOf(filtered).every((id) => topicOf(numberOf(id)) === 'music'));
    await server.api.sendEvents([view('sim-1', 'browser', plain[0] ?? '')]);
    assert.ok(!idsOf(await similar({ k: 10, user_id: 'browser' })).includes(plain[0] ?? ''));
    const pages = [await similar({ k: 10 })];
    pages.push(await similar({ k: 10, cursor: pages[0]?.next_cursor }));
    assert.equal(new Set(pages.flatMap(idsOf)).size, 20);
  });

  test('the query form takes filter, diversity and cursor', async () => {
    const filter = encodeURIComponent(JSON.stringify({ field: 'topic', eq: 'sport' }));
    const query = `k=5&filter=${filter}&max_per_author=2`;
    const first = await bodyOf(server.api.recommendForUser('stranger', query));
    const second = await bodyOf(server.api.recommendForUser('stranger', `${query}&cursor=${first.next_cursor}`));
    assert.equal(new Set([...idsOf(first), ...idsOf(second)].map(numberOf)).size, 10);
    assert.ok([...idsOf(first), ...idsOf(second)].every((id) => topicOf(numberOf(id)) === 'sport'));
    assert.equal((await server.api.recommendForUser('u', 'filter=%7B')).problem.errors[0]?.pointer, '/query/filter');
  });
});

test('a feed goes on over a restart and a swap without repeating an item, and what was served can still be replayed', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const items = Array.from({ length: 60 }, (_, n) => ({ item_id: clip(n + 1), hidden_states: demoStates(clip(n + 1)) }));
  await first.api.putItems(items);
  const page = async ({ api }: Built, cursor: string | null): Promise<Recommendations> =>
    (await api.recommend({ history: [clip(1)], k: 15, ...(cursor !== null && { cursor }) })).body;
  const one = await page(first, null);
  await first.stop();
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const two = await page(second, one.next_cursor);
  const { fingerprint } = (await second.api.registerModel(await otherModel(t))).body;
  await second.api.activateModel(fingerprint);
  await second.services.generations.idle();
  const three = await page(second, two.next_cursor);
  const four = await page(second, three.next_cursor);
  const all = [one, two, three, four].flatMap(idsOf);
  assert.deepEqual([all.length, new Set(all).size, four.next_cursor], [59, 59, null]);
  const replay = await second.api.replayRecommendation(one.recommendation_id);
  assert.deepEqual(idsOf(replay.body), idsOf(one));
});
