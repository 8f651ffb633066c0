import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSchedule } from '../../../src/retrieval/embedded/schedule.js';
import { manualClock } from '../../manual-clock.js';
import { randomOf } from '../../random.js';

test('each key is due once, at the time it was given last, and never when it was taken back', async () => {
  const clock = manualClock(0);
  const done: [string, number][] = [];
  const schedule = createSchedule(clock, async (keys) => void done.push(...keys.map((key): [string, number] => [key, clock.now()])));
  schedule.set('late', 50);
  schedule.set('early', 10);
  schedule.set('moved', 5);
  schedule.set('moved', 30);
  schedule.set('dropped', 20);
  schedule.set('dropped', null);
  schedule.set('never set', null);
  await clock.advance(29);
  assert.deepEqual(done, [['early', 10]]);
  schedule.set('past', 3);
  await clock.advance(100);
  assert.deepEqual(done.slice(1), [
    ['past', 29],
    ['moved', 30],
    ['late', 50],
  ]);
});

test('many keys with random times come in the order of their times, whatever is changed meanwhile', async () => {
  const clock = manualClock(0);
  const random = randomOf(5);
  const times = new Map<string, number>();
  const done: string[] = [];
  const schedule = createSchedule(clock, async (keys) => {
    for (const key of keys) assert.ok((times.get(key) ?? Infinity) <= clock.now());
    done.push(...keys);
  });
  for (let n = 0; n < 20_000; n++) {
    const key = `k${Math.floor(random() * 2000)}`;
    const at = random() < 0.1 ? null : 1 + Math.floor(random() * 1000);
    schedule.set(key, at);
    if (at === null) times.delete(key);
    else times.set(key, at);
  }
  await clock.advance(1000);
  assert.deepEqual(
    done.map((key) => times.get(key)),
    [...times.values()].sort((a, b) => a - b),
  );
  assert.equal(new Set(done).size, times.size);
});

test('what is due is handed over in parts, the next when the one before is dealt with; nothing comes after the end', async () => {
  const clock = manualClock(0);
  const sizes: number[] = [];
  const resume: (() => void)[] = [];
  const schedule = createSchedule(clock, (keys) => {
    sizes.push(keys.length);
    return new Promise((resolve) => resume.push(resolve));
  });
  for (let n = 0; n < 200; n++) schedule.set(`k${n}`, 10);
  await clock.advance(20);
  assert.deepEqual(sizes, [128]);
  resume.pop()?.();
  await clock.advance(0); // the continuation asks for a call at once
  await clock.advance(0);
  assert.deepEqual(sizes, [128, 72]);
  schedule.set('later', 100);
  schedule.close();
  resume.pop()?.();
  await clock.advance(1000);
  assert.equal(sizes.length, 2);
});
