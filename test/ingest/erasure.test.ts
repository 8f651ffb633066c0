import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createErasure } from '../../src/ingest/erasure.js';
import { openMemoryStores } from '../store/memory/stores.js';
import { event } from '../store/conformance/stores.js';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 11, 1);

test('an event without a time, or of the future, is dropped by when it came', async () => {
  const { events, changes, keyValues } = openMemoryStores();
  const erasure = createErasure({ events, changes, keyValues, inEffect: async () => undefined });
  const kept = async (): Promise<string[]> => (await events.history('u', 10)).map(({ item_id: id }) => id).sort();
  await events.append([
    event('1', 'u', 'untimed', 0),
    event('2', 'u', 'ahead', NOW + 3650 * DAY),
    event('3', 'u', 'old', NOW - 31 * DAY),
    event('4', 'u', 'young', NOW - DAY),
  ]);
  assert.equal(await erasure.expireEvents(30, NOW), 1);
  assert.deepEqual(await kept(), ['ahead', 'untimed', 'young']);
  for (let day = 1; day <= 30; day++) await erasure.expireEvents(30, NOW + day * DAY);
  assert.deepEqual(await kept(), ['ahead', 'untimed']);
  await events.append([event('5', 'u', 'later', 0)]);
  assert.equal(await erasure.expireEvents(30, NOW + 31 * DAY), 2);
  assert.deepEqual(await kept(), ['later']);
  await erasure.expireEvents(30, NOW + 62 * DAY);
  assert.deepEqual(await kept(), []);
});
