import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIndexer } from '../../src/ingest/indexer.js';
import { MODEL, fusingModel, gate, recordingRetrieval, scriptedStore, statesOf, turn, vectorOf } from './write-side.js';

const timeout = 10_000;
const ready = (value: number) => [{ fingerprint: MODEL, ...vectorOf(value) }];

function open() {
  const store = scriptedStore();
  const index = recordingRetrieval();
  const fusing = fusingModel();
  const failures: Error[] = [];
  const logged: unknown[] = [];
  const indexer = createIndexer({
    model: fusing.model,
    stores: store.stores,
    retrieval: index.retrieval,
    log: { error: (...line: unknown[]) => void logged.push(line) },
    onFailure: (error) => void failures.push(error),
  });
  return { store, index, fusing, indexer, failures, logged };
}

/** Whether it has resolved by the next turn. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(
    () => (done = true),
    () => undefined,
  );
  await turn();
  return done;
}

test('changes are applied in the order of the feed, by what was written and without a read', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  await indexer.follow(0);
  store.put('a', { states: statesOf(1), vectors: ready(1) });
  store.put('b'); // nothing that the model could place it by
  store.put('c', { states: statesOf(3), vectors: ready(3) });
  await indexer.caughtUp();
  store.updateFields('a', { title: 'renamed' });
  store.remove('b');
  await indexer.caughtUp();
  assert.deepEqual(index.notes, ['put a 1', 'put b', 'put c 3', 'fields a', 'delete b']);
  assert.deepEqual([index.items.get('a')?.title, index.items.get('a')?.vector], ['renamed', 1]);
  assert.deepEqual([store.reads, fusing.fused], [[], []]);
});

test('what came while the feed was read goes together, each item once by its newest change', { timeout }, async () => {
  const { store, index, indexer } = open();
  await indexer.follow(0);
  const { opened, open: release } = gate();
  store.holdFeed(opened);
  store.put('a', { vectors: ready(1) });
  await turn();
  store.put('b', { vectors: ready(2) });
  store.put('a', { vectors: ready(3) });
  store.updateFields('a', { title: 'newest' });
  release();
  await indexer.caughtUp();
  assert.deepEqual(index.notes, ['put b 2', 'put a 3']);
  assert.deepEqual(index.items.get('a'), { title: 'newest', hidden: false, vector: 3 });
});

test('a change that the feed does not describe is read, and a vector that the store has is not fused again', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  await indexer.follow(0);
  store.put('a', { states: statesOf(1), vectors: ready(7), isKept: false });
  store.put('b', { states: statesOf(2), isKept: false });
  await indexer.caughtUp();
  assert.deepEqual([index.items.get('a')?.vector, index.items.get('b')?.vector], [7, 2]);
  assert.deepEqual([store.reads, fusing.fused, store.saved], [[['a', 'b']], ['b'], ['b']]);
});

test('a change is applied before it is searchable', { timeout }, async () => {
  const { store, index, indexer } = open();
  await indexer.follow(0);
  const searches = gate();
  index.holdSearches(searches.opened);
  const change = { itemId: 'a', sequence: store.put('a', { vectors: ready(1) }) };
  await indexer.indexed(change, 'applied');
  assert.equal(index.items.get('a')?.vector, 1);
  const searchable = indexer.indexed(change, 'searchable');
  assert.equal(await isDone(searchable), false);
  searches.open();
  await searchable;
});

test('slow fusing holds up neither later changes nor the wait for them', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  store.put('gone', { vectors: ready(1) });
  await indexer.follow(0);
  const slow = gate();
  fusing.held.set('slow', slow.opened);
  const first = { itemId: 'slow', sequence: store.put('slow', { states: statesOf(5) }) };
  await indexer.indexed(first, 'applied');
  await indexer.indexed({ itemId: 'gone', sequence: store.remove('gone') }, 'searchable');
  assert.equal(index.items.has('gone'), false);
  await indexer.indexed({ itemId: 'b', sequence: store.put('b', { states: statesOf(2), vectors: ready(2) }) }, 'searchable');
  const waits = [indexer.indexed(first, 'searchable'), indexer.caughtUp()];
  assert.deepEqual(await Promise.all(waits.map(isDone)), [false, false]);
  slow.open();
  await Promise.all(waits);
  assert.deepEqual([index.items.get('slow')?.vector, store.saved], [5, ['slow']]);
});

test('while it is fused an item keeps its old vector but has its new fields, also those of a later change', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  store.put('a', { vectors: ready(1) });
  await indexer.follow(0);
  const slow = gate();
  fusing.held.set('a', slow.opened);
  store.put('a', { title: 'second', states: statesOf(2) });
  await turn();
  assert.deepEqual(index.items.get('a'), { title: 'second', hidden: false, vector: 1 });
  await indexer.indexed({ itemId: 'a', sequence: store.updateFields('a', { title: 'third', hidden: true }) }, 'applied');
  assert.deepEqual(index.items.get('a'), { title: 'third', hidden: true, vector: 1 });
  slow.open();
  await indexer.caughtUp();
  assert.deepEqual(index.items.get('a'), { title: 'third', hidden: true, vector: 2 });
});

test('a vector that was fused from older hidden states than those of the newest change is discarded', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  await indexer.follow(0);
  const slow = gate();
  for (const id of ['replaced', 'fused-elsewhere', 'deleted']) {
    fusing.held.set(id, slow.opened);
    store.put(id, { states: statesOf(1) });
  }
  await turn();
  assert.deepEqual(fusing.fused, ['replaced', 'fused-elsewhere', 'deleted']);
  fusing.held.clear();
  store.put('replaced', { states: statesOf(2) });
  store.put('fused-elsewhere', { states: statesOf(2), vectors: ready(2) });
  store.remove('deleted');
  await turn();
  slow.open();
  await indexer.caughtUp();
  await turn();
  assert.deepEqual([index.items.get('replaced')?.vector, index.items.get('fused-elsewhere')?.vector, index.items.has('deleted')], [2, 2, false]);
  assert.deepEqual(
    index.notes.filter((note) => note.startsWith('put')),
    ['put fused-elsewhere 2', 'put replaced 2'],
  );
  assert.deepEqual(store.saved, ['replaced']);
});

test('an item that cannot be fused is put without a vector; its model must not become active until it is written again', { timeout }, async () => {
  const { store, index, indexer, fusing, failures, logged } = open();
  store.put('a', { vectors: ready(1) });
  await indexer.follow(0);
  fusing.failing.set('a', new Error('no memory'));
  await indexer.indexed({ itemId: 'a', sequence: store.put('a', { title: 'second', states: statesOf(2) }) }, 'searchable');
  assert.deepEqual(index.items.get('a'), { title: 'second', hidden: false, vector: null });
  assert.deepEqual([indexer.failure?.message, failures.length, logged.length], ['no memory', 0, 1]);
  fusing.failing.clear();
  await indexer.indexed({ itemId: 'a', sequence: store.put('a', { states: statesOf(3) }) }, 'searchable');
  assert.deepEqual([index.items.get('a')?.vector, indexer.failure], [3, null]);
});

test('fields of an item that the retrieval does not know are put with what the store has of it', { timeout }, async () => {
  const { store, index, indexer } = open();
  store.put('a', { states: statesOf(4) });
  await indexer.follow(store.sequence); // from a snapshot that lacks it
  await indexer.indexed({ itemId: 'a', sequence: store.updateFields('a', { title: 'renamed' }) }, 'searchable');
  await indexer.caughtUp();
  assert.deepEqual(index.items.get('a'), { title: 'renamed', hidden: false, vector: 4 });
});

test('an indexer that cannot read the feed, or write to the retrieval, says so once and rejects those who wait', { timeout }, async () => {
  for (const part of ['feed', 'retrieval'] as const) {
    const { store, index, indexer, failures } = open();
    await indexer.follow(0);
    const broken = Promise.reject(new Error(`the ${part} is gone`));
    broken.catch(() => undefined);
    if (part === 'feed') store.holdFeed(broken);
    else index.holdSearches(broken);
    const change = { itemId: 'a', sequence: store.put('a', { vectors: ready(1) }) };
    await assert.rejects(indexer.indexed(change, 'searchable'), /is gone/);
    store.put('b', { vectors: ready(1) });
    await turn();
    assert.deepEqual(
      failures.map(({ message }) => message),
      [`the ${part} is gone`],
    );
    assert.match(indexer.failure?.message ?? '', /is gone/);
    await assert.rejects(indexer.caughtUp(), /is gone/);
    await indexer.close();
  }
});

test('a closed indexer rejects those who wait, and leaves retrieval and model alone', { timeout }, async () => {
  const { store, index, indexer, fusing, failures } = open();
  await indexer.follow(0);
  const slow = gate();
  fusing.held.set('a', slow.opened);
  const change = { itemId: 'a', sequence: store.put('a', { states: statesOf(1) }) };
  await indexer.indexed(change, 'applied');
  const waiting = assert.rejects(indexer.indexed(change, 'searchable'), /closed/);
  const closing = indexer.close();
  await waiting;
  assert.equal(await isDone(closing), false); // the model is in use
  slow.open();
  await closing;
  const { length } = index.notes;
  store.put('b', { vectors: ready(1) });
  await turn();
  assert.deepEqual([index.notes.length, failures], [length, []]);
});

test('loading fuses what has no vector, saves it, and tells how far it is', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  store.put('a', { states: statesOf(1), vectors: ready(7) });
  store.put('b', { states: statesOf(2) });
  store.put('c');
  const steps: number[] = [];
  assert.deepEqual(await indexer.load({ batch: 2, onProgress: (items) => steps.push(items) }), { fused: 1 });
  assert.deepEqual(index.notes, ['put a 7', 'put b 2', 'put c']);
  assert.deepEqual([fusing.fused, store.saved, steps], [['b'], ['b'], [2, 3]]);
  await indexer.indexed({ itemId: 'd', sequence: store.put('d', { states: statesOf(4) }) }, 'searchable');
  assert.equal(index.items.get('d')?.vector, 4);
});

test('what changes while an index is loaded wins over what was read before, wherever the loading is', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  for (const id of ['a', 'b', 'c', 'd', 'e']) store.put(id, { states: statesOf(1) });
  const paused = gate();
  let steps = 0;
  const loading = indexer.load({ batch: 5, step: 1, pace: () => (++steps === 3 ? paused.opened : Promise.resolve()) });
  while (steps < 3) await turn();
  store.put('a', { title: 'put', states: statesOf(2), vectors: ready(2) }); // loaded before
  store.updateFields('b', { title: 'renamed' }); // loaded before
  store.remove('c'); // read, and next
  store.put('d', { title: 'put', states: statesOf(3) }); // read, and not loaded yet
  store.updateFields('e', { title: 'hidden', hidden: true }); // read, and not loaded yet
  store.put('f', { states: statesOf(6) });
  await turn();
  paused.open();
  await loading;
  const found = [...index.items].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, { title, hidden, vector }]) => [id, title, hidden, vector]);
  assert.deepEqual(found, [
    ['a', 'put', false, 2],
    ['b', 'renamed', false, 1],
    ['d', 'put', false, 3],
    ['e', 'hidden', true, 1],
    ['f', 'f', false, 6],
  ]);
  assert.equal(fusing.fused.includes('f'), true);
  const stored = [...store.rows].map(([id, { vectors }]) => [id, vectors.get(MODEL)?.vector[0]]).sort();
  assert.deepEqual(stored, [
    ['a', 2],
    ['b', undefined], // it changed before its batch was saved: the next start fuses it again
    ['d', 3],
    ['e', 1],
    ['f', 6],
  ]);
});

test('loading ends with the error of an item that cannot be fused, and with that of its pace', { timeout }, async () => {
  const { store, indexer, fusing } = open();
  store.put('a', { states: statesOf(1) });
  fusing.failing.set('a', new Error('no memory'));
  await assert.rejects(indexer.load({ batch: 10 }), /no memory/);
  const other = open();
  other.store.put('a', { states: statesOf(1) });
  await assert.rejects(other.indexer.load({ batch: 10, pace: () => Promise.reject(new Error('cancelled')) }), /cancelled/);
  assert.deepEqual([other.index.notes, other.failures], [[], []]);
});

test('following from a snapshot replays what has changed since, and reads what the snapshot lacks', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  store.put('lacking', { states: statesOf(9), isKept: false });
  store.put('old', { vectors: ready(1), isKept: false });
  const snapshot = store.sequence;
  index.items.set('old', { title: 'old', hidden: false, vector: 1 });
  index.items.set('gone', { title: 'gone', hidden: false, vector: 1 });
  store.put('gone', { isKept: false });
  store.remove('gone');
  store.put('new', { states: statesOf(2), isKept: false });
  store.put('ready', { states: statesOf(3), vectors: ready(3), isKept: false });
  assert.deepEqual(await indexer.follow(snapshot, ['lacking']), { replayed: 4 });
  assert.deepEqual([...index.items].map(([id, { vector }]) => [id, vector]).sort(), [
    ['lacking', 9],
    ['new', 2],
    ['old', 1],
    ['ready', 3],
  ]);
  assert.deepEqual([...fusing.fused].sort(), ['lacking', 'new']);
});

test('many changes are followed whole, however many the feed returns at once', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  for (let n = 0; n < 3000; n++) store.put(`item-${n % 2500}`, { states: statesOf(1 + (n % 200)), isKept: n % 2 === 0 });
  assert.deepEqual(await indexer.follow(0), { replayed: 2500 });
  assert.equal(index.items.size, 2500);
  for (const [id, { vector }] of index.items) assert.equal(vector, store.rows.get(id)?.states?.data[0], id);
  assert.equal(fusing.fused.length, 2500);
});

test('a vector of old hidden states is not saved over a write that the feed has not told of yet', { timeout }, async () => {
  const { store, index, indexer, fusing } = open();
  await indexer.follow(0);
  const slow = gate();
  fusing.held.set('a', slow.opened);
  store.put('a', { states: statesOf(1) });
  await turn();
  const feed = gate();
  store.holdFeed(feed.opened);
  store.put('a', { states: statesOf(2), isKept: false });
  fusing.held.clear();
  slow.open();
  await turn();
  assert.deepEqual(store.saved, []);
  feed.open();
  await indexer.caughtUp();
  await turn();
  assert.deepEqual([index.items.get('a')?.vector, store.rows.get('a')?.vectors.get(MODEL)?.vector[0]], [2, 2]);
});
