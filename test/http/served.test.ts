import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pino } from 'pino';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf } from '../api.js';
import { build, buildForSuite, clip, view } from '../build.js';
import { HISTORY, putTopics } from './topic-catalogue.js';

import { withOtherNonce } from '../other-nonce.js';
import { systemClock } from '../../src/clock.js';
describe('what was served', () => {
  const server = buildForSuite({}, putTopics);
  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  test('an experiment arm is stable by user, in proportion to the weights, and can be given', async () => {
    const experiment = { name: 'feed-1', arms: [{ name: 'a', weight: 3 }, { name: 'b' }] };
    const armOf = async (user: string) => (await ask({ user_id: user, k: 1, experiment })).experiment?.arm;
    const arms = await Promise.all(Array.from({ length: 200 }, (_, n) => armOf(`user-${n}`)));
    const share = arms.filter((arm) => arm === 'a').length / 200;
    assert.ok(share > 0.65 && share < 0.85, String(share));
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, (_, n) => armOf(`user-${n}`))), arms.slice(0, 20));
    assert.deepEqual((await ask({ user_id: 'x', k: 1, experiment: { name: 'e', arm: 'mine' } })).experiment, { name: 'e', arm: 'mine' });
    assert.equal((await server.api.recommend({ user_id: 'x', experiment: { name: 'e' } })).status, 422);
  });

  test('a replay tells what was served, by which model, with which scores and wishes, and names no user', async () => {
    const served = await ask({
      user_id: 'replayed-user',
      k: 5,
      diversity: 0.2,
      exploration: { slots: 1, seed: 3 },
      experiment: { name: 'e', arm: 'a' },
    });
    const answer = await server.api.replayRecommendation(served.recommendation_id);
    assert.equal(answer.status, 200, answer.text);
    const replay = answer.body;
    assert.deepEqual(
      replay.items.map(({ item_id: id, score, reason }) => [id, score, reason]),
      served.items.map(({ item_id: id, score, reason }) => [id, score, reason]),
    );
    assert.deepEqual([replay.seed, replay.fallback, replay.experiment], [3, 'no_history', { name: 'e', arm: 'a' }]);
    assert.deepEqual(replay.request, { diversity: 0.2, exploration: { slots: 1, seed: 3 } });
    assert.ok(!answer.text.includes('replayed-user'));
    const wishes = {
      filter: { field: 'live', eq: true },
      exclude_seen: false,
      seen_window_hours: 5,
      caps: [{ field: 'topic', max: 3 }],
      boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 2 }],
      freshness: { half_life_hours: 24, factor: 3 },
      rotation: { window_hours: 12, factor: 0.5 },
      pins: [{ item_id: clip(7), position: 1 }],
      min_score: -5,
      fallback_mix_by: 'topic',
      exact: true,
    };
    const body = { user_id: 'replayed-user', exclude: [clip(9)], liked: [clip(8)], k: 4, max_per_author: 2, ...wishes };
    const first = await ask(body);
    const second = await ask({ ...body, cursor: first.next_cursor });
    const replays = await Promise.all([first, second].map(async ({ recommendation_id: id }) => (await server.api.replayRecommendation(id)).body));
    assert.deepEqual(
      replays.map(({ offset }) => offset),
      [0, 4],
    );
    for (const { request } of replays) assert.deepEqual(request, { ...wishes, max_per_author: 2 });
    const similar = (await server.api.similarItems(clip(7), { k: 1 })).body;
    const replayed = (await server.api.replayRecommendation(similar.recommendation_id)).body;
    assert.deepEqual(replayed.request, { similar_to: clip(7) });
    for (const id of ['rec_AAAA', 'nothing', withOtherNonce(served.recommendation_id)]) {
      assert.equal((await server.api.replayRecommendation(id)).problem.code, 'recommendation_not_found');
    }
  });

  test('the quality report judges positive events by the answer that they name, by arm', async () => {
    const hits: [arm: string, rank: number][] = [
      ['a', 1],
      ['a', 3],
      ['a', 15],
      ['b', 2],
    ];
    for (const [n, [arm, rank]] of hits.entries()) {
      const served = await ask({ history: HISTORY, k: 20, experiment: { name: 'judged', arm } });
      const event = {
        ...view(`q-${n}`, 'judge', served.items[rank - 1]?.item_id ?? '', new Date().toISOString()),
        recommendation_id: served.recommendation_id,
      };
      await server.api.sendEvents([
        event,
        { ...view(`q-miss-${n}`, 'judge', 'elsewhere', new Date().toISOString()), recommendation_id: served.recommendation_id },
      ]);
    }
    const report = (await server.api.reportQuality('hours=1')).body;
    const [a, b] = ['a', 'b'].map((arm) => report.groups.find((group) => group.experiment === 'judged' && group.arm === arm));
    assert.deepEqual([a?.events, a?.hr_at_10.value, b?.events, b?.hr_at_10.value], [6, 2 / 6, 2, 0.5]);
    assert.ok(Math.abs((a?.ndcg_at_10.value ?? 0) - (1 + 0.5) / 6) < 1e-9);
    assert.ok((a?.hr_at_10.low ?? 1) < 2 / 6 && (a?.hr_at_10.high ?? 0) > 2 / 6);
  });
});

test('the log line of a request names its experiment arm, and that of a batch none', async (t) => {
  const lines: { msg: string; route: string; experiment?: string; arm?: string }[] = [];
  const { api, stop } = await build(t, {}, systemClock, {
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) }),
  });
  const ask = (url: string, payload: object) => api.raw({ method: 'POST', url, payload });
  const request = { user_id: 'u', k: 1, experiment: { name: 'e', arm: 'a' } };
  await ask('/v1/recommendations', request);
  await ask('/v1/recommendations/batch', { requests: [request, { ...request, experiment: { name: 'f', arm: 'b' } }] });
  await stop();
  const labels = lines.filter(({ msg }) => msg === 'request').map(({ route, experiment, arm }) => [route, experiment, arm]);
  assert.deepEqual(labels, [
    ['/v1/recommendations', 'e', 'a'],
    ['/v1/recommendations/batch', undefined, undefined],
  ]);
});
