import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { createMetrics } from '../../src/metrics.js';
import { createHealing } from '../../src/maintenance/storage-healing.js';
import { scheduleStoreCheck } from '../../src/maintenance/store-check.js';
import { storageProblem } from '../../src/storage-faults.js';
import type { CheckedRows } from '../../src/store/store-check.js';
import { unwatchedHealth } from '../storage.js';

const HOUR_MS = 3_600_000;
const NOTHING: CheckedRows = { position: null, rows: 1, bytes: 8, damaged: [], unreadable: null };
const timeout = 10_000;

/** A check over scripted parts. Each wait is told, and ends when the next one is asked for by `pass`. */
function schedule(parts: (() => CheckedRows)[], { hours = 1, kept = null as string | null, start = 1_000_000_000 } = {}) {
  const health = unwatchedHealth();
  const values = new Map<string, string>(kept === null ? [] : [['store_check', kept]]);
  const asked: (string | null)[] = [];
  const discarded: string[] = [];
  let now = start;
  let waiting: { milliseconds: number; go: () => void } | null = null;
  let tell = (): void => undefined;
  const stop = scheduleStoreCheck({
    check: {
      next: async (position) => {
        asked.push(position);
        const part = parts.shift();
        assert.ok(part !== undefined, 'nothing is left to be checked');
        return part();
      },
      isSound: async () => true,
    },
    vectors: { discard: async (ids) => void discarded.push(...ids) },
    keyValues: { get: async (key) => values.get(key) ?? null, set: async (key, value) => void values.set(key, value) },
    health,
    hours,
    clock: { now: () => now },
    metrics: createMetrics(),
    log: pino({ level: 'silent' }),
    wait: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        waiting = { milliseconds, go: () => resolve(undefined) };
        tell();
      }),
  });
  const nextWait = async (): Promise<number> => {
    while (waiting === null) await new Promise<void>((resolve) => (tell = resolve));
    return (waiting as { milliseconds: number }).milliseconds;
  };
  /** Ends the wait that is under way. @returns the length of the next one */
  const pass = async (milliseconds = 0): Promise<number> => {
    await nextWait();
    const { go } = waiting as unknown as { go: () => void };
    waiting = null;
    now += milliseconds;
    go();
    return nextWait();
  };
  /** Passes the looks before the first check. @returns the length of the wait after its first part */
  const begin = async (): Promise<number> => {
    for (let looks = 1; looks < 12; looks++) await pass();
    return pass();
  };
  return { health, values, asked, discarded, begin, pass, stop };
}

test('the store is read part after part, with pauses by their size, and again when the time has come', { timeout }, async () => {
  const large = { ...NOTHING, position: 'b', bytes: 8 * 1024 * 1000 };
  const check = schedule([() => large, () => NOTHING, () => NOTHING]);
  assert.equal(await check.begin(), 1000);
  await check.pass();
  assert.deepEqual(check.asked, [null, 'b']);
  await check.pass(HOUR_MS - 1);
  assert.equal(check.asked.length, 2);
  await check.pass(1);
  assert.equal(check.asked.length, 3);
  await check.stop();
});

test('a check that a restart has interrupted goes on; one whose end lies in the future is due', { timeout }, async () => {
  const going = schedule([() => NOTHING], { kept: JSON.stringify({ position: 'p', unreadable: 0, finished: 0 }) });
  await going.begin();
  assert.deepEqual(going.asked, ['p']);
  await going.stop();
  const ahead = schedule([() => NOTHING], { kept: JSON.stringify({ position: null, unreadable: 0, finished: 9e12 }) });
  await ahead.begin();
  assert.deepEqual(ahead.asked, [null]);
  await ahead.stop();
  const done = schedule([], { kept: JSON.stringify({ position: null, unreadable: 0, finished: 1_000_000_000 }) });
  await done.begin();
  assert.deepEqual(done.asked, []);
  await done.stop();
});

test('damaged rows are noted, damaged vectors are dropped, and damaged pages stay known until a whole check finds none', { timeout }, async () => {
  const damaged = ['hidden_states', 'vectors'].map((table) => ({ table, key: `of-${table}`, detail: 'x' }));
  const check = schedule([() => ({ ...NOTHING, damaged, unreadable: 'events: malformed' }), () => NOTHING]);
  await check.begin();
  assert.deepEqual(check.discarded, ['of-vectors']);
  assert.deepEqual(
    check.health.damagedRows.map(({ key }) => key),
    ['of-hidden_states', 'of-vectors'],
  );
  assert.equal(check.health.problems[0]?.detail, 'events: malformed');
  await check.pass(HOUR_MS);
  assert.match(check.health.problems[0]?.detail ?? '', /^2 damaged rows/);
  await check.stop();
});

test('a database that SQLite calls damaged is checked at once from its beginning, and is sound when all of it can be read', { timeout }, async () => {
  const parts = [() => ({ ...NOTHING, unreadable: 'events: malformed' }), () => NOTHING];
  const check = schedule(parts, { kept: JSON.stringify({ position: 'p', unreadable: 0, finished: 0 }) });
  check.health.told(Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' }));
  await check.pass();
  assert.deepEqual([check.asked, check.health.isSuspect], [[null], true]);
  for (let looks = 0; looks < 119; looks++) await check.pass();
  assert.equal(check.asked.length, 1); // it is not read all the time
  await check.pass();
  assert.deepEqual([check.asked, check.health.isSuspect, check.health.problems], [[null, null], false, []]);
  await check.stop();
});

test('a database that is called damaged is checked also where no check is scheduled', { timeout }, async () => {
  const check = schedule([() => NOTHING], { hours: 0 });
  await check.begin();
  assert.deepEqual(check.asked, []);
  check.health.told(Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' }));
  await check.pass();
  assert.deepEqual([check.asked, check.health.problems], [[null], []]);
  await check.stop();
});

test('a scheduled check says nothing about damage that was met while it was under way', { timeout }, async () => {
  const check = schedule([() => ({ ...NOTHING, position: 'b' }), () => NOTHING]);
  await check.begin();
  check.health.told(Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' }));
  await check.pass();
  assert.deepEqual([check.asked, check.health.isSuspect], [[null, 'b'], true]);
  await check.stop();
});

test('while the disk fails the same part is asked for again', { timeout }, async () => {
  const fail = (): CheckedRows => {
    throw storageProblem('failed');
  };
  const check = schedule([fail, fail, () => NOTHING]);
  await check.begin();
  await check.pass();
  await check.pass();
  assert.deepEqual(check.asked, [null, null, null]);
  await check.stop();
});

test('healing is noticed by a durable write, and by rows that are sound again', async () => {
  const health = unwatchedHealth();
  let isBroken = true;
  const written: string[] = [];
  const heal = createHealing({
    health,
    keyValues: {
      get: async () => null,
      set: async (_, value) => {
        if (isBroken) throw storageProblem('failed');
        written.push(value);
      },
    },
    check: { isSound: async ({ key }) => key === 'mended' },
  });
  await heal();
  assert.deepEqual(written, []); // nothing is written while all is well
  health.told(Object.assign(new Error('x'), { code: 'EROFS' }));
  await heal();
  assert.equal(health.isFailing, true);
  isBroken = false;
  health.noteDamaged({ table: 'items', key: 'mended' }, 'x');
  health.noteDamaged({ table: 'items', key: 'broken' }, 'x');
  await heal();
  assert.equal(health.isFailing, false);
  assert.deepEqual(
    health.damagedRows.map(({ key }) => key),
    ['broken'],
  );
});
