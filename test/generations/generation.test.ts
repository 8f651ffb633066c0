import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGeneration } from '../../src/generations/generation.js';
import { createItemRows } from '../../src/domain/item-interner.js';
import type { Artifact } from '../../src/model/artifact.js';
import type { Fuser } from '../../src/model/fuser.js';
import type { RecommenderPool } from '../../src/model/recommender-pool.js';
import { manualClock } from '../manual-clock.js';

/** Whoever waits for this fails by the timeout of the test. */
const LONG_MS = 2 ** 31 - 1;
const timeout = 10_000;

function open() {
  const closed: string[] = [];
  const part = (name: string) => ({ close: async () => void closed.push(name) });
  const artifact = { manifest: { dim: 2, similarity: 'dot' } } as Artifact; // no more of it is asked for
  const pool = part('pool') as unknown as RecommenderPool;
  return { closed, generation: createGeneration(artifact, part('fuser') as unknown as Fuser, pool, createItemRows(), manualClock(0)) };
}

/** A task that ends when it is told to. */
function task() {
  let end = (): void => undefined;
  const work = new Promise<void>((resolve) => (end = resolve));
  return { run: () => work, end };
}

/** In the order in which they come true. */
const noting = (notes: string[], name: string, promise: Promise<unknown>): Promise<unknown> => promise.then(() => notes.push(name));

test('who gives way waits for the tasks under way, of earlier turns too, and not for those that begin meanwhile', { timeout }, async () => {
  const { generation } = open();
  const [first, second, late] = [task(), task(), task()];
  const notes: string[] = [];
  const done = [noting(notes, 'first', generation.use(first.run))];
  const turns = [noting(notes, 'turn 1', generation.giveWay(LONG_MS))];
  done.push(noting(notes, 'second', generation.use(second.run)));
  turns.push(noting(notes, 'turn 2', generation.giveWay(LONG_MS)));
  void generation.use(late.run);
  second.end();
  await done[1];
  first.end();
  await Promise.all([...done, ...turns]);
  assert.deepEqual(notes, ['second', 'first', 'turn 1', 'turn 2']);
  late.end();
});

test('it gives way for so long at most, and not at all where nothing is under way', { timeout }, async () => {
  const { generation } = open();
  const notes: string[] = [];
  void noting(notes, 'nothing to wait for', generation.giveWay(LONG_MS));
  await nextTurn();
  assert.deepEqual(notes, ['nothing to wait for']);
  const endless = task();
  const used = noting(notes, 'task', generation.use(endless.run));
  await noting(notes, 'time is up', generation.giveWay(1));
  assert.deepEqual(notes, ['nothing to wait for', 'time is up']);
  endless.end();
  await used;
});

test('threads end when no task uses them any more, failed ones counted as ended', { timeout }, async () => {
  const { generation, closed } = open();
  const [slow, failing] = [task(), generation.use(() => Promise.reject(new Error('no')))];
  void generation.use(slow.run);
  await generation.giveWay(1);
  const closing = generation.close();
  await assert.rejects(failing, /no/);
  assert.deepEqual(closed, []);
  slow.end();
  await closing;
  assert.deepEqual(closed.sort(), ['fuser', 'pool']);
});
