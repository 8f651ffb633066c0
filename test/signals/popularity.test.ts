import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steadyTime } from '../../src/clock.js';
import { UNKNOWN_TIME, type Item } from '../../src/domain/item.js';
import { createPopularity, type Popularity } from '../../src/signals/popularity.js';
import { build, clip, putClips, view, type Built } from '../build.js';
import { manualClock, type ManualClock } from '../manual-clock.js';
import { openMemoryStores } from '../store/memory/stores.js';
import { temporaryFolder } from '../temporary-folder.js';

const HALF_LIFE = 1000;
const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));

test('weights stay numbers however many half-lives a process runs, and what is counted can be taken back', async () => {
  const none = { positives: [], impressions: [] };
  let now = 0;
  const popularity = await createPopularity({ now: () => now, halfLifeMs: HALF_LIFE, isKnown: () => true, initial: none });
  popularity.add('old', 0);
  for (; now <= 5_000 * HALF_LIFE; now += 100 * HALF_LIFE) {
    popularity.add('new', now);
    popularity.add('new', now - HALF_LIFE);
    assert.ok(close(popularity.weight('new'), 1.5), `${popularity.weight('new')} after ${now / HALF_LIFE} half-lives`);
    popularity.add('twice', now);
    popularity.remove('twice', now);
    assert.ok(popularity.weight('twice') < 1e-9);
  }
  now = 5_000 * HALF_LIFE;
  assert.equal(popularity.weight('old'), 0);
  popularity.remove('new', 0);
  assert.ok(close(popularity.weight('new'), 1.5));
});

const YEARS = 10 * 365 * 24 * 3_600_000;
const NOW = Date.UTC(2026, 11, 1);

/** Popularity over positive events in the order of their arrival, as a start makes it. */
async function started(events: readonly { item_id: string; at: number }[], clock: ManualClock, halfLifeMs: number): Promise<Popularity> {
  const store = openMemoryStores().events;
  await store.append(events.map((event, n) => ({ ...POSITIVE, ...event, event_id: `${n}` })));
  const now = steadyTime(clock);
  return createPopularity({
    now,
    halfLifeMs,
    isKnown: () => true,
    initial: { positives: store.popularity(now(), halfLifeMs), impressions: [] },
  });
}
const POSITIVE = { user_id: 'u', type: 'view', watch_ms: null, duration_ms: null, watch_portion: null, recommendation_id: null, positive: true };
const times = (count: number, itemId: string, at: number) => Array.from({ length: count }, () => ({ item_id: itemId, at }));

/** Ids, the most popular first. */
async function orderOf(popularity: Popularity, now: number): Promise<string[]> {
  const items = ['z', 'once', 'often', 'ahead', 'later'].map((id, index): Item => ({
    fields: { item_id: id, title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false },
    created: UNKNOWN_TIME,
    index,
    idShare: null,
  }));
  const best = await popularity.best({ size: items.length, items: () => items }, now, 5, () => true);
  for (const { fields } of best) assert.ok(Number.isFinite(popularity.weight(fields.item_id)), fields.item_id);
  return best.map(({ fields }) => fields.item_id).slice(0, 4);
}

for (const halfLifeMs of [0.1 * 3_600_000, 168 * 3_600_000]) {
  const name = `half-life ${halfLifeMs / 3_600_000} h`;
  test(`${name}: while the clock jumps by ten years and back, the order by popularity stays`, async () => {
    const clock = manualClock(NOW);
    const events = [...times(1, 'once', NOW - 1000), ...times(3, 'often', NOW - 1000)];
    const popularity = await started(events, clock, halfLifeMs);
    for (const jump of [YEARS, 0, -YEARS, 0, 3_600_000, 2000, 0]) {
      await clock.set(NOW + jump);
      popularity.add('later', NOW); // a device whose clock is right
      popularity.remove('later', NOW);
      assert.deepEqual((await orderOf(popularity, clock.now())).slice(0, 2), ['often', 'once'], String(jump));
      assert.ok(close(popularity.weight('often') / popularity.weight('once'), 3));
    }
    popularity.add('ahead', NOW + YEARS); // while the clock was ahead, from a device that was too
    for (const { item_id: id, at } of times(5, 'later', NOW)) popularity.add(id, at);
    assert.deepEqual(await orderOf(popularity, NOW), ['later', 'often', 'ahead', 'once']);
    assert.ok(close(popularity.weight('ahead'), 1), `${popularity.weight('ahead')}`);
  });

  test(`${name}: a start ten years ahead or behind has the same order, and one after it is sane again`, async () => {
    const events = [...times(1, 'once', NOW - 1000), ...times(3, 'often', NOW - 1000)];
    for (const jump of [YEARS, -YEARS]) {
      const wrong = await started(events, manualClock(NOW + jump), halfLifeMs);
      assert.deepEqual((await orderOf(wrong, NOW + jump)).slice(0, 2), ['often', 'once'], String(jump));
    }
    const back = await started([...events, ...times(2, 'ahead', NOW + YEARS), ...times(5, 'later', NOW + 1000)], manualClock(NOW + 2000), halfLifeMs);
    assert.deepEqual(await orderOf(back, NOW + 2000), ['later', 'often', 'ahead', 'once']);
    assert.ok(close(back.weight('ahead') / back.weight('once'), 2), 'as old as what came before it');
  });
}

test('events without a time count less than any other, and among themselves by their number', async () => {
  const clock = manualClock(NOW);
  const events = [...times(50, 'often', UNKNOWN_TIME), ...times(2, 'once', UNKNOWN_TIME), ...times(1, 'later', NOW - 300 * 24 * 3_600_000)];
  assert.deepEqual(await orderOf(await started(events, clock, 3_600_000), NOW), ['later', 'often', 'once', 'ahead']);
});

test('popularity after a restart is what it was before', async (t) => {
  const dataDir = temporaryFolder(t);
  const environment = { REELFUSE_DATA_DIR: dataDir, REELFUSE_POPULARITY_HALF_LIFE_HOURS: '0.5' };
  const now = Date.now();
  const clock = manualClock(now);
  const first = await build(t, environment, clock);
  await putClips(first.app, 6);
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
  const figures = ({ services: { popularity } }: Built) => ids.map((id) => [popularity.weight(id), popularity.shown(id)] as const);
  const before = figures(first);
  assert.ok(before.some(([weight, shown]) => weight > 0 && shown > 0));
  await first.stop();
  const after = figures(await build(t, environment, clock));
  ids.forEach((id, index) => {
    const [weight = NaN, shown = NaN] = before[index] ?? [];
    assert.ok(Math.abs((after[index]?.[0] ?? NaN) - weight) < 1e-9, `${id}: ${weight} before, ${after[index]?.[0]} after`);
    assert.equal(after[index]?.[1], shown);
  });
});
