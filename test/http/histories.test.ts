import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf, idsOf } from '../api.js';
import { build, buildForSuite, clip, putClips, view } from '../build.js';
import { HISTORY, numberOf, putTopics } from './topic-catalogue.js';

describe('histories', () => {
  const server = buildForSuite({}, putTopics);
  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  test('liked examples act as history, disliked ones push away, neither is returned', async () => {
    const liked = await ask({ liked: [clip(101)], k: 10 });
    assert.equal(liked.fallback, null);
    assert.deepEqual(idsOf(liked), idsOf(await ask({ history: [clip(101)], k: 10 })));
    const [nearest = ''] = idsOf(liked);
    const pushed = await ask({ liked: [clip(101)], disliked: [nearest], k: 50, exact: true });
    assert.ok(!idsOf(pushed).includes(nearest) && !idsOf(pushed).includes(clip(101)));
    assert.notDeepEqual(idsOf(pushed).slice(0, 9), idsOf(liked).slice(1));
  });

  test('with disliked examples a contribution is still what the score loses without that item', async () => {
    const body = { liked: [clip(101), clip(105), clip(110)], disliked: [clip(50)], k: 200, exact: true };
    const whole = await ask({ ...body, explain: true });
    const without = new Map((await ask({ ...body, without_history: [clip(105)] })).items.map(({ item_id: id, score }) => [id, score]));
    for (const { item_id: id, score, explain } of whole.items) {
      const contribution = explain?.history.find((entry) => entry.item_id === clip(105))?.contribution ?? NaN;
      assert.ok(Math.abs(contribution - (score - (without.get(id) ?? NaN))) < 1e-4, id);
    }
  });

  test('seen items come back when asked, or when the window has passed', async () => {
    await server.api.sendEvents([view('s-0', 'seer', clip(20), '2026-01-01T00:00:00Z'), view('s-1', 'seer', clip(21), new Date().toISOString())]);
    const shown = async (body: object): Promise<boolean[]> => {
      const found = idsOf(await ask({ user_id: 'seer', k: 200, ...body }));
      return [found.includes(clip(20)), found.includes(clip(21))];
    };
    assert.deepEqual(await shown({}), [false, false]);
    assert.deepEqual(await shown({ exclude_seen: false }), [true, true]);
    assert.deepEqual(await shown({ seen_window_hours: 24 }), [true, false]);
  });

  test('a watched clip does not come back, however much was skipped since', async () => {
    await server.api.sendEvents([view('far-0', 'zapper', clip(30), '2026-10-01T00:00:00Z')]);
    await server.api.sendEvents(Array.from({ length: 1000 }, (_, n) => ({ ...view(`far-skip-${n}`, 'zapper', `skipped-${n}`), type: 'skip' })));
    const answer = await ask({ user_id: 'zapper', k: 200 });
    assert.deepEqual([answer.fallback, idsOf(answer).includes(clip(30))], [null, false]);
    assert.equal(idsOf(await ask({ user_id: 'zapper', k: 1, exclude_seen: false }))[0], clip(30));
  });

  test('what was met is counted by clips, not by events', async () => {
    for (let n = 1; n <= 110; n += 10) {
      const skips = Array.from({ length: 100 }, (_, at) => ({ ...view(`many-${n}-${at}`, 'repeater', clip(n + Math.floor(at / 10))), type: 'skip' }));
      await server.api.sendEvents(skips);
    }
    const answer = await ask({ user_id: 'repeater', k: 200 });
    assert.ok(idsOf(answer).every((id) => numberOf(id) > 110));
  });

  test('a clip that was viewed, liked, shared and saved takes one place of the history', async () => {
    const { max_history: length } = server.services.generations.current.artifact.manifest;
    for (let n = 1; n <= length; n++) {
      const at = `2026-11-24T10:${String(n).padStart(2, '0')}:00Z`;
      await server.api.sendEvents(['view', 'like', 'share', 'save'].map((type) => ({ ...view(`fan-${n}-${type}`, 'fan', clip(n), at), type })));
    }
    const answer = await ask({ user_id: 'fan', k: 1, explain: true });
    assert.equal(answer.items[0]?.explain?.history.length, length);
  });

  test('without_history answers as if those items had never been watched', async () => {
    const without = await ask({ history: HISTORY, without_history: [clip(105)], k: 10 });
    const never = await ask({ history: [clip(101), clip(110)], exclude: [clip(105)], k: 10 });
    assert.deepEqual(idsOf(without), idsOf(never));
  });

  test('an explanation names the share of each layer, summing to one', async () => {
    const answer = await ask({ history: HISTORY, k: 2, explain: 'layers' });
    for (const { explain } of answer.items) {
      assert.equal(explain?.layers?.length, 7);
      assert.ok(Math.abs((explain?.layers ?? []).reduce((sum, share) => sum + share, 0) - 1) < 1e-6);
    }
  });

  test('shares of layers are left out when the deadline comes first, and refused in a batch', async () => {
    let release = (): void => undefined;
    const { fuser } = server.services.generations.current;
    const fuse = fuser.fuse;
    const busy = new Promise<void>((resolve) => (release = resolve));
    fuser.fuse = (item) => busy.then(() => fuse(item)); // ingest keeps the item tower busy
    try {
      const late = await ask({ user_id: 'stranger', k: 2, explain: 'layers', deadline_ms: 20 });
      assert.deepEqual(
        late.items.map(({ explain }) => explain?.layers),
        [null, null],
      );
    } finally {
      release();
      fuser.fuse = fuse;
    }
    const answer = await server.api.recommendBatch([{ history: HISTORY, k: 2, explain: 'layers' }]);
    const { results } = answer.body;
    assert.deepEqual([results[0]?.status, results[0]?.error?.errors[0]?.pointer], [422, '/explain']);
  });

  test('at_least_sequence waits for a change that is on its way, and gives up on one that never comes', async () => {
    const { sequence } = (await server.api.getHistory('nobody')).body;
    const waiting = server.api.recommend({ history: HISTORY, k: 1, at_least_sequence: sequence + 1 });
    await server.api.sendEvents([view('seq-1', 'sequencer', clip(1))]);
    assert.equal((await waiting).status, 200);
    const never = await server.api.recommend({ history: HISTORY, k: 1, at_least_sequence: sequence + 1000, deadline_ms: 20 });
    assert.deepEqual([never.status, never.problem.code], [503, 'sequence_not_reached']);
    assert.equal(never.headers['retry-after'], '1');
  });

  test('the sequence of an answer is no newer than the history that it was made from', async () => {
    await server.api.sendEvents([view('own-1', 'writer', clip(1))]);
    const { pool } = server.services.generation;
    const search = pool.search;
    pool.search = async (prepare) => {
      await server.api.sendEvents([view('own-2', 'writer', clip(2))]); // too late for this answer
      return search(prepare);
    };
    const before = server.services.stores.changes.sequence;
    try {
      assert.equal((await ask({ user_id: 'writer', k: 1 })).sequence, before);
    } finally {
      pool.search = search;
    }
    assert.equal((await ask({ user_id: 'writer', k: 1 })).sequence, before + 1);
  });

  test('a deadline that is near is answered by the fallback ranking', async () => {
    const answer = await ask({ history: HISTORY, k: 5, deadline_ms: 1 });
    assert.deepEqual([answer.fallback, answer.items.length], ['deadline', 5]);
    assert.equal((await ask({ history: HISTORY, k: 5, deadline_ms: 60_000 })).fallback, null);
  });
});

test('a view that says how long it was, but not of how long a clip, is judged by the item, else by the watch time', async (t) => {
  const { api } = await build(t, { REELFUSE_POSITIVE_WATCH_MS: '4000' });
  await api.putItem('long', { attributes: { duration_s: 20 } });
  await api.putItem('short', { attributes: { duration_s: 0.4 } });
  await api.putItem('untold', { attributes: { duration_s: 'a while' } });
  const watched: [string, number, number?][] = [
    ['long', 9_999],
    ['long', 10_000],
    ['long', 200, 300],
    ['short', 200],
    ['untold', 3_999],
    ['untold', 4_000],
    ['unknown', 200],
    ['unknown', 4_000],
  ];
  const events = watched.map(([itemId, ms, duration], n) => ({
    ...view(`e-${n}`, 'u', itemId, `2026-11-24T10:00:0${n}Z`),
    watch_ms: ms,
    ...(duration !== undefined && { duration_ms: duration }),
  }));
  assert.equal((await api.sendEvents(events)).status, 200);
  assert.deepEqual(
    (await bodyOf(api.getHistory('u'))).items.map(({ item_id: itemId, at }) => [itemId, Number((at ?? '').slice(18, 19))]),
    [
      ['unknown', 7],
      ['untold', 5],
      ['short', 3],
      ['long', 2],
      ['long', 1],
    ],
  );
});

test('which events make a history, and from which portion a view does, is configuration', async (t) => {
  const { app, api } = await build(t, { REELFUSE_POSITIVE_EVENTS: 'view,report', REELFUSE_POSITIVE_WATCH_PORTION: '0.8' });
  await putClips(app, 5);
  const at = (second: number) => `2026-11-24T10:00:0${second}Z`;
  await api.sendEvents([
    { ...view('1', 'u', clip(1), at(1)), watch_portion: 0.79 },
    { ...view('2', 'u', clip(2), at(2)), watch_portion: 1.7 },
    { ...view('3', 'u', clip(3), at(3)), type: 'like' },
    { ...view('4', 'u', clip(4), at(4)), type: 'report' },
    { ...view('5', 'u', clip(5), at(5)), watch_ms: 8000, duration_ms: 10_000 },
  ]);
  assert.deepEqual(
    (await bodyOf(api.getHistory('u'))).items.map(({ item_id: itemId }) => itemId),
    [clip(5), clip(4), clip(2)],
  );
});
