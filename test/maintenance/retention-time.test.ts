import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRetentionTime } from '../../src/maintenance/retention-time.js';
import { manualClock, type ManualClock } from '../manual-clock.js';
import { openMemoryStores } from '../store/memory/stores.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEARS = 3650 * DAY;
const NOW = Date.UTC(2026, 11, 1);

/** What `hours` calls of every hour return, relative to NOW. */
async function hourly(time: () => Promise<number>, clock: ManualClock, hours: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < hours; n++) {
    await clock.advance(HOUR);
    times.push((await time()) - NOW);
  }
  return times;
}

test('the time of retention is the wall time, and catches up after a downtime', async () => {
  const { keyValues } = openMemoryStores();
  const clock = manualClock(NOW);
  const time = createRetentionTime(keyValues, clock);
  assert.equal(await time(), NOW);
  assert.deepEqual(await hourly(time, clock, 3), [HOUR, 2 * HOUR, 3 * HOUR]);
  const later = manualClock(NOW + 4 * DAY);
  const restarted = createRetentionTime(keyValues, later);
  assert.equal(await restarted(), NOW + DAY + 3 * HOUR);
  assert.equal((await hourly(restarted, later, 4)).at(-1), 4 * DAY + 4 * HOUR);
});

test('a clock that jumps ahead by ten years ages nothing by more than a day an hour, and nothing once it is back', async () => {
  const { keyValues } = openMemoryStores();
  const clock = manualClock(NOW);
  const time = createRetentionTime(keyValues, clock);
  await time();
  await clock.set(NOW + YEARS);
  assert.deepEqual([...(await hourly(time, clock, 2)), (await time()) - NOW], [DAY, 2 * DAY, 2 * DAY]);
  const started = createRetentionTime(keyValues, clock); // a start while the clock is wrong
  assert.equal((await started()) - NOW, 3 * DAY);
  await clock.set(NOW + 3 * HOUR);
  assert.deepEqual(await hourly(started, clock, 2), [4 * HOUR, 5 * HOUR]);
});

test('a clock that jumps back by ten years and forth again leaves retention where it was', async () => {
  const clock = manualClock(NOW);
  const time = createRetentionTime(openMemoryStores().keyValues, clock);
  await time();
  await clock.set(NOW - YEARS);
  assert.deepEqual(await hourly(time, clock, 1), [HOUR - YEARS]);
  await clock.set(NOW + HOUR);
  assert.deepEqual(await hourly(time, clock, 1), [2 * HOUR]);
});
