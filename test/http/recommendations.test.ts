import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf, idsOf } from '../api.js';
import { buildForSuite, clip, demoStates, putClips, view } from '../build.js';

describe('recommendations', () => {
  const server = buildForSuite({}, ({ app }) => putClips(app, 60));

  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  test('an answer has k different items by falling score, none of them from the history or excluded', async () => {
    const answer = await ask({ history: [clip(1), clip(2)], k: 20, exclude: [clip(3)] });
    assert.equal(answer.items.length, 20);
    assert.equal(new Set(idsOf(answer)).size, 20);
    for (const id of [1, 2, 3].map(clip)) assert.ok(!idsOf(answer).includes(id));
    const scores = answer.items.map(({ score }) => score);
    assert.deepEqual(
      scores,
      [...scores].sort((a, b) => b - a),
    );
    assert.equal(answer.fallback, null);
    assert.equal(answer.short_reason, null);
    assert.ok(answer.items.every(({ reason }) => reason === 'history'));
  });

  test('HNSW finds what an exact search finds, with the same scores', async () => {
    const body = { history: [clip(5), clip(9), clip(14)], k: 10 };
    const [hnsw, exact] = await Promise.all([ask(body), ask({ ...body, exact: true })]);
    assert.deepEqual(idsOf(hnsw), idsOf(exact));
    hnsw.items.forEach(({ score }, rank) => assert.ok(Math.abs(score - (exact.items[rank]?.score ?? NaN)) < 1e-4));
  });

  test('requests that are batched together get the answers that they get alone', async () => {
    const histories = Array.from({ length: 12 }, (_, index) => Array.from({ length: index + 1 }, (_, step) => clip(index + step + 1)));
    const alone: Recommendations[] = [];
    for (const history of histories) alone.push(await ask({ history, k: 5, exact: true }));
    const together = await Promise.all(histories.map((history) => ask({ history, k: 5, exact: true })));
    together.forEach((answer, index) => assert.deepEqual(idsOf(answer), idsOf(alone[index] as Recommendations)));
  });

  test('a user without history gets the fallback ranking and is told so', async () => {
    const answer = await ask({ user_id: 'nobody', k: 5 });
    assert.equal(answer.fallback, 'no_history');
    assert.equal(answer.items.length, 5);
    assert.ok(answer.items.every(({ reason }) => reason === 'popular'));
  });

  test('a history of unknown items is answered by the fallback, with its own reason', async () => {
    assert.equal((await ask({ history: ['never-seen'], k: 1 })).fallback, 'unknown_history');
  });

  test('a posted event changes the very next answer and the history', async () => {
    await server.api.sendEvents([view('e-1', 'reader', clip(20))]);
    const first = await ask({ user_id: 'reader', k: 10 });
    assert.equal(first.fallback, null);
    const watched = first.items[0]?.item_id ?? '';
    await server.api.sendEvents([view('e-2', 'reader', watched, '2026-11-24T10:01:00Z')]);
    const second = await ask({ user_id: 'reader', k: 10 });
    assert.ok(!idsOf(second).includes(watched));
    assert.notDeepEqual(
      second.items.map(({ score }) => score),
      first.items.map(({ score }) => score),
    );
    const history = await server.api.getHistory('reader', 'fields=title');
    assert.deepEqual(
      history.body.items.map(({ item_id: id }) => id),
      [watched, clip(20)],
    );
  });

  test('what was skipped is not shown again, and does not become history', async () => {
    await server.api.sendEvents([{ ...view('s-1', 'skipper', clip(30)), type: 'skip' }, view('s-2', 'skipper', clip(31))]);
    assert.ok(!idsOf(await ask({ user_id: 'skipper', k: 50 })).includes(clip(30)));
    assert.equal((await server.api.getHistory('skipper')).body.items.length, 1);
  });

  test('a short view is not part of the history', async () => {
    await server.api.sendEvents([{ ...view('w-1', 'glancer', clip(30)), watch_ms: 1000, duration_ms: 20000 }]);
    assert.equal((await ask({ user_id: 'glancer', k: 1 })).fallback, 'no_history');
  });

  test('a catalogue that is too small for k says so', async () => {
    const answer = await ask({ history: [clip(1)], k: 500 });
    assert.equal(answer.items.length, 59);
    assert.equal(answer.short_reason, 'catalogue_exhausted');
  });

  test('a new item with hidden states is recommendable when its PUT returns; deleted, it is gone', async () => {
    const twin = { title: 'twin', hidden_states: demoStates(clip(40)) };
    const created = await server.api.putItem('fresh', twin);
    assert.equal(created.status, 201);
    assert.equal(created.body.state, 'searchable');
    const request = { history: [clip(40), clip(41)], k: 60 };
    assert.ok(idsOf(await ask(request)).includes('fresh'));
    assert.equal((await server.api.deleteItem('fresh')).status, 200);
    assert.ok(!idsOf(await ask(request)).includes('fresh'));
    assert.ok(!idsOf(await ask({ ...request, exact: true })).includes('fresh'));
    assert.ok(!idsOf(await ask({ user_id: 'nobody', k: 60 })).includes('fresh'));
  });

  test('hidden, future and expired items are not served', async () => {
    const states = { hidden_states: demoStates(clip(50)) };
    const variants = {
      hidden: { hidden: true },
      future: { available_from: '2999-01-01T00:00:00Z' },
      expired: { expires_at: '2020-01-01T00:00:00Z' },
    };
    for (const [id, fields] of Object.entries(variants)) {
      await server.api.putItem(id, { ...states, ...fields });
    }
    const found = [...idsOf(await ask({ history: [clip(50)], k: 100 })), ...idsOf(await ask({ user_id: 'nobody', k: 100 }))];
    for (const id of Object.keys(variants)) assert.ok(!found.includes(id), id);
    for (const id of Object.keys(variants)) await server.api.deleteItem(id);
  });

  test('replacing an item many times never serves it twice and reuses its slots', async () => {
    for (let round = 0; round < 30; round++) {
      const payload = { hidden_states: demoStates(clip(51 + (round % 2))) };
      const answer = await server.api.putItem('changing', payload);
      assert.equal(answer.status, round === 0 ? 201 : 200);
    }
    const ids = idsOf(await ask({ history: [clip(51)], k: 100 }));
    assert.equal(ids.filter((id) => id === 'changing').length, 1);
    assert.equal(new Set(ids).size, ids.length);
    await server.api.deleteItem('changing');
  });

  test('an explanation gives ID shares and leave-one-out contributions of every history item', async () => {
    const answer = await ask({ history: [clip(1), clip(2), clip(3)], k: 2, explain: true, fields: ['title', 'attributes.topic'] });
    const first = answer.items[0];
    assert.deepEqual(new Set(first?.explain?.history.map(({ item_id: id }) => id)), new Set([clip(1), clip(2), clip(3)]));
    assert.ok((first?.explain?.id_share ?? -1) > 0);
    assert.deepEqual(first?.item, { title: `title of ${first?.item_id}`, attributes: {} });
  });

  test('the query form gives the same items as the body form', async () => {
    const answer = await server.api.recommendForUser('reader', 'k=7&exact=true&fields=title,author_id');
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(idsOf(answer.body), idsOf(await ask({ user_id: 'reader', k: 7, exact: true })));
  });

  test('stage timings stand in the body and in Server-Timing', async () => {
    const answer = await server.api.recommend({ history: [clip(1)], k: 1 });
    const stages = ['queue', 'history', 'user_tower', 'search', 'rules', 'total'];
    assert.deepEqual(Object.keys(answer.body.timings_ms), stages);
    for (const stage of stages) assert.match(String(answer.headers['server-timing']), new RegExp(`${stage};dur=`));
  });
});
