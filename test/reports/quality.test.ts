import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { meanOf, measureQuality, type Quality, type QualityGroup } from '../../src/reports/quality.js';
import type { EventStore, PositiveEvent } from '../../src/store/events.js';
import { openServedLog } from '../../src/store/files/served-log.js';
import type { ServedEntry, ServedLog } from '../../src/store/served-log.js';
import { withOtherNonce } from '../other-nonce.js';
import { randomOf } from '../random.js';
import { temporaryFolder } from '../temporary-folder.js';

const HOUR_MS = 3_600_000;
const NOW = Date.now();

const entryOf = (change: Partial<ServedEntry> = {}): ServedEntry => ({
  at: NOW,
  fingerprint: 'f',
  version: '1',
  k: 10,
  items: Array.from({ length: 10 }, (_, n) => ({ item_id: `v${n + 1}`, score: 1, reason: 'history' })),
  fallback: null,
  short_reason: null,
  experiment: null,
  seed: null,
  offset: 0,
  sequence: 0,
  request: {},
  ...change,
});

function logOf(t: TestContext): { log: ServedLog; folder: string } {
  const folder = join(temporaryFolder(t), 'served');
  const log = openServedLog(folder, (error) => assert.fail(error as Error));
  t.after(() => log.close());
  return { log, folder };
}

const eventOf = (id: string | null, itemId: string, at = NOW + 1000) => ({ recommendation_id: id, item_id: itemId, at });
/** In the order of their arrival. */
function storeOf(events: Omit<PositiveEvent, 'sequence'>[]): Pick<EventStore, 'positives'> {
  const numbered = events.map((event, index) => ({ ...event, sequence: index + 1 }));
  return { positives: async (since, after, limit) => numbered.slice(after, after + limit).filter(({ at }) => at >= since) };
}

const measure = (log: ServedLog, events: Omit<PositiveEvent, 'sequence'>[]): Promise<Quality> =>
  measureQuality(storeOf(events), log, NOW - HOUR_MS, NOW);
const only = ({ groups }: Quality): QualityGroup => {
  assert.equal(groups.length, 1);
  return groups[0] as QualityGroup; // there is one
};

test('a clip that was viewed, liked and shared is one hit of the answer that showed it', async (t) => {
  const { log } = logOf(t);
  const [one, two] = [log.append(entryOf()), log.append(entryOf())];
  const group = only(await measure(log, [eventOf(one, 'v1'), eventOf(one, 'v1'), eventOf(one, 'v1'), eventOf(one, 'elsewhere'), eventOf(two, 'v1')]));
  assert.deepEqual([group.events, group.hr_at_10.value, group.ndcg_at_10.value], [3, 2 / 3, 2 / 3]);
});

test('the first item of the second page stands at the rank behind the first page', async (t) => {
  const { log } = logOf(t);
  const second = log.append(entryOf({ offset: 10 }));
  const third = log.append(entryOf({ offset: 20 }));
  const group = only(await measure(log, [eventOf(second, 'v1'), eventOf(second, 'v10'), eventOf(third, 'v1')]));
  assert.deepEqual([group.events, group.hr_at_10.value, group.hr_at_20.value, group.ndcg_at_10.value], [3, 0, 2 / 3, 0]);
});

test('answers around an item and fallback answers are judged apart from feeds', async (t) => {
  const { log } = logOf(t);
  const ids = [entryOf(), entryOf({ request: { similar_to: 'v9' } }), entryOf({ fallback: 'no_history' })].map((entry) => log.append(entry));
  const { groups } = await measure(
    log,
    ids.map((id) => eventOf(id, 'v1')),
  );
  assert.deepEqual(
    groups.map(({ surface, fallback }) => [surface, fallback]),
    [
      ['feed', false],
      ['similar', false],
      ['feed', true],
    ],
  );
});

test('an answer counts by the clock of the server, and an event that is older than its answer does not', async (t) => {
  const { log } = logOf(t);
  const old = log.append(entryOf({ at: NOW - 5 * HOUR_MS }));
  const fresh = log.append(entryOf());
  const quality = await measure(log, [
    eventOf(old, 'v1', NOW + 20 * HOUR_MS), // by a clock that is wrong
    eventOf(fresh, 'v1', NOW - 6 * HOUR_MS),
    eventOf(fresh, 'v2', NOW - 1000), // a clock that is a second behind
    eventOf(null, 'v3'),
    eventOf('rec_unknown', 'v3'),
  ]);
  assert.deepEqual([only(quality).events, quality.unattributed], [1, 3]);
});

test('of too many events the newest are judged', async () => {
  const id = (n: number): string => (n < 1000 ? 'old' : 'new');
  const events = Array.from({ length: 201_000 }, (_, n) => eventOf(id(n), `v${n}`));
  const entries = new Map(['old', 'new'].map((version) => [version, entryOf({ version })]));
  const quality = await measureQuality(storeOf(events), { read: async () => entries, first: async () => null }, NOW - HOUR_MS, NOW);
  assert.deepEqual([only(quality).model.version, only(quality).events, quality.truncated], ['new', 200_000, true]);
});

test('events from before the first answer of the time are not gone through', async (t) => {
  const { log } = logOf(t);
  const id = log.append(entryOf({ sequence: 5000 }));
  const asked: number[] = [];
  const events = Array.from({ length: 5000 }, () => eventOf(null, 'v1'));
  const store = storeOf([...events, eventOf(id, 'v1')]);
  const quality = await measureQuality(
    {
      positives: (since, after, limit) => {
        asked.push(after);
        return store.positives(since, after, limit);
      },
    },
    log,
    NOW - HOUR_MS,
    NOW,
  );
  assert.deepEqual([asked, only(quality).events, quality.unattributed], [[5000], 1, 0]);
});

test('intervals are honest for few values and for none but hits or misses', () => {
  const { low, high } = meanOf(1, 1);
  assert.ok(low > 0.2 && low < 0.21 && high === 1);
  assert.ok(meanOf(0, 3).high > 0.5);
  assert.ok(meanOf(3, 3).low < 0.5);
  assert.deepEqual(meanOf(0, 0), { value: 0, low: 0, high: 1 });
  // as tables give it for 15 of 50
  const { low: from, high: to } = meanOf(15, 50);
  assert.ok(Math.abs(from - 0.191) < 0.001 && Math.abs(to - 0.4375) < 0.001);
});

test('the interval of graded gains holds the true mean at least as often as it says', () => {
  const random = randomOf(7);
  const gains = [0, 0, 0, 0, 0, 0, 1, 1 / Math.log2(3), 0.5, 1 / Math.log2(11)];
  const truth = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
  for (const total of [3, 10, 100]) {
    let held = 0;
    for (let n = 0; n < 2000; n++) {
      let sum = 0;
      for (let draw = 0; draw < total; draw++) sum += gains[Math.floor(random() * gains.length)] ?? 0;
      const { low, high } = meanOf(sum, total);
      if (low <= truth && truth <= high) held++;
    }
    assert.ok(held / 2000 >= 0.94, `${held} of 2000 with ${total}`);
  }
});

test('the entries of many ids are read together, and unknown ids are left out', async (t) => {
  const { log, folder } = logOf(t);
  const ids = Array.from({ length: 300 }, (_, n) => log.append(entryOf({ at: NOW - (n % 3) * HOUR_MS, seed: n })));
  const entries = await log.read([...ids, 'rec_AAAA', 'nothing', withOtherNonce(ids[0] ?? '')]);
  assert.deepEqual(
    ids.map((id) => entries.get(id)?.seed),
    ids.map((_, n) => n),
  );
  assert.equal(entries.size, 300);
  assert.equal(readdirSync(folder).length, 3);
  assert.equal((await log.first(NOW - 2 * HOUR_MS))?.seed, 2);
  assert.equal((await log.first(NOW - 100 * HOUR_MS))?.seed, 2);
  assert.equal(await log.first(NOW + 2 * HOUR_MS), null);
});

test('answers of a time when the clock was ten years ahead are in no report of the last hours', async (t) => {
  const { log } = logOf(t);
  const ahead = NOW + 10 * 365 * 24 * HOUR_MS;
  const [now, wrong] = [log.append(entryOf()), log.append(entryOf({ at: ahead, version: 'ahead' }))];
  assert.equal(only(await measure(log, [eventOf(now, 'v1'), eventOf(wrong, 'v1', ahead)])).model.version, '1');
});
