import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeItems } from '../../src/generations/generation.js';
import { fieldsNamed } from '../ingest/write-side.js';
import { loadedGeneration } from './loaded-generation.js';

/** Whoever waits for this fails by the timeout of the test. */
const LONG_MS = 2 ** 31 - 1;
const timeout = 10_000;

function open() {
  const closed: string[] = [];
  const { generation } = loadedGeneration({ onClose: (part) => void closed.push(part) });
  return { closed, generation };
}

/** A task that ends when it is told to. */
function task() {
  let end = (): void => undefined;
  const work = new Promise<void>((resolve) => (end = resolve));
  return { run: () => work, end };
}

/** In the order in which they come true. */
const noting = (notes: string[], name: string, promise: Promise<unknown>): Promise<unknown> => promise.then(() => notes.push(name));

test('who yields to requests waits for the tasks under way, of earlier turns too, and not for those that begin meanwhile', { timeout }, async () => {
  const { generation } = open();
  const [first, second, late] = [task(), task(), task()];
  const notes: string[] = [];
  const done = [noting(notes, 'first', generation.lease(first.run))];
  const turns = [noting(notes, 'turn 1', generation.yieldToRequests(LONG_MS))];
  done.push(noting(notes, 'second', generation.lease(second.run)));
  turns.push(noting(notes, 'turn 2', generation.yieldToRequests(LONG_MS)));
  void generation.lease(late.run);
  second.end();
  await done[1];
  first.end();
  await Promise.all([...done, ...turns]);
  assert.deepEqual(notes, ['second', 'first', 'turn 1', 'turn 2']);
  late.end();
});

test('it yields for a bounded time, and not at all where nothing is under way', { timeout }, async () => {
  const { generation } = open();
  await generation.yieldToRequests(LONG_MS);
  const endless = task();
  void generation.lease(endless.run);
  const yielding = generation.yieldToRequests(1);
  assert.equal(await Promise.race([yielding.then(() => 'yielded'), endless.run().then(() => 'ended')]), 'yielded');
  endless.end();
});

test('threads end when no task uses them any more, failed ones counted as ended', { timeout }, async () => {
  const { generation, closed } = open();
  const [slow, failing] = [task(), generation.lease(() => Promise.reject(new Error('no')))];
  void generation.lease(slow.run);
  await generation.yieldToRequests(1);
  const closing = generation.close();
  await assert.rejects(failing, /no/);
  assert.deepEqual(closed, []);
  slow.end();
  await closing;
  assert.deepEqual([closed[0], closed.slice(1).sort()], ['indexer', ['fuser', 'retrieval']]); // the indexer uses the others
});

test('an item is searchable, pending, hidden or stored by what this generation knows of it', async () => {
  const { generation, items } = loadedGeneration({});
  items.set('vector', { fields: fieldsNamed('vector', 'v'), created: 1, index: 0, idShare: 0.5 });
  items.set('none', { fields: fieldsNamed('none', 'n'), created: 1, index: 1, idShare: null });
  items.set('hidden', { fields: fieldsNamed('hidden', 'h', true), created: 1, index: 2, idShare: 0.5 });
  const described = await describeItems(generation, ['hidden', 'unknown', 'none', 'vector']);
  assert.deepEqual(
    described.map(({ state, hasVector }) => [state, hasVector]),
    [
      ['hidden', true],
      ['stored', false],
      ['pending_features', false],
      ['searchable', true],
    ],
  );
  assert.deepEqual(described[0]?.model, { fingerprint: 'model-a', version: '1' });
});
