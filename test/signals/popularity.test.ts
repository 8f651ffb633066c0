import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPopularity } from '../../src/signals/popularity.js';
import { build, clip, putClips, temporaryFolder, view, type Built } from '../build.js';

const HALF_LIFE = 1000;
const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));

test('weights stay numbers however many half-lives a process runs, and what is counted can be taken back', async () => {
  const none = { positives: [], impressions: [] };
  const popularity = await createPopularity({ origin: 0, halfLifeMs: HALF_LIFE, isKnown: () => true, initial: none });
  popularity.add('old', 0);
  for (let now = 0; now <= 5_000 * HALF_LIFE; now += 100 * HALF_LIFE) {
    popularity.add('new', now);
    popularity.add('new', now - HALF_LIFE);
    assert.ok(close(popularity.weight('new', now), 1.5), `${popularity.weight('new', now)} after ${now / HALF_LIFE} half-lives`);
    popularity.add('twice', now);
    popularity.remove('twice', now);
    assert.ok(popularity.weight('twice', now) < 1e-9);
  }
  assert.equal(popularity.weight('old', 5_000 * HALF_LIFE), 0);
  popularity.remove('new', 0);
  assert.ok(close(popularity.weight('new', 5_000 * HALF_LIFE), 1.5));
});

test('popularity after a restart is what it was before', async (t) => {
  const dataDir = temporaryFolder(t);
  const environment = { REELFUSE_DATA_DIR: dataDir, REELFUSE_POPULARITY_HALF_LIFE_HOURS: '0.5' };
  const first = await build(t, environment);
  await putClips(first.app, 6);
  const now = Date.now();
  const at = (minutesAgo: number): string => new Date(now - minutesAgo * 60_000).toISOString();
  const events = Array.from({ length: 300 }, (_, n) => ({
    ...view(`e-${n}`, `u-${n % 7}`, n % 11 === 0 ? 'unknown' : clip((n % 6) + 1), at((n * 37) % 5000)),
    type: (['view', 'impression', 'skip', 'like'] as const)[n % 4],
  }));
  for (const sent of [events.slice(0, 200), events.slice(100)]) {
    const answer = await first.api.sendEvents(sent);
    assert.equal(answer.status, 200);
  }
  await first.api.eraseUser('u-3');
  await first.api.deleteItem(clip(2));
  await first.services.erasure.expireEvents(2, now);
  const ids = ['unknown', ...[1, 2, 3, 4, 5, 6].map(clip)];
  const figures = ({ services: { popularity } }: Built) => ids.map((id) => [popularity.weight(id, now), popularity.shown(id)] as const);
  const before = figures(first);
  assert.ok(before.some(([weight, shown]) => weight > 0 && shown > 0));
  await first.stop();
  const after = figures(await build(t, environment));
  ids.forEach((id, index) => {
    const [weight = NaN, shown = NaN] = before[index] ?? [];
    assert.ok(Math.abs((after[index]?.[0] ?? NaN) - weight) < 1e-9, `${id}: ${weight} before, ${after[index]?.[0]} after`);
    assert.equal(after[index]?.[1], shown);
  });
});
