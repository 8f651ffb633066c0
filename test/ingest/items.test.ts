import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { ReelfuseError } from '../../src/errors.js';
import type { ItemStatus } from '../../src/ingest/acknowledgement.js';
import { createIndexer, type Indexer } from '../../src/ingest/indexer.js';
import { fuseItem } from '../../src/ingest/item-fusing.js';
import { createIngest, type IngestSetup } from '../../src/ingest/items.js';
import { createMetrics } from '../../src/metrics.js';
import type { ItemWrite, StoredItem } from '../../src/store/items.js';
import { fieldsNamed, fusingModel, gate, recordingRetrieval, scriptedStore, statesOf, turn } from './write-side.js';

const timeout = 10_000;

/** Ingest over one generation that serves and others that are loaded beside it, all on doubles. */
async function open({ others = 0, maxQueue = 10 } = {}) {
  const store = scriptedStore();
  const log = pino({ level: 'silent' });
  const generations = Array.from({ length: 1 + others }, (_, n) => {
    const fusing = fusingModel(`model-${n}`);
    const index = recordingRetrieval();
    const onFailure = (error: Error): never => assert.fail(error);
    const indexer: Indexer = createIndexer({ model: fusing.model, stores: store.stores, retrieval: index.retrieval, log, onFailure });
    return { fusing, index, indexer };
  });
  await Promise.all(generations.map(({ indexer }) => indexer.follow(0)));
  const [serving] = generations;
  assert.ok(serving);
  const writes: ItemWrite[] = [];
  const deleted: string[] = [];
  let beforeWrite: Promise<void> = Promise.resolve();
  const storedOf = (itemId: string): StoredItem | null => {
    const row = store.rows.get(itemId);
    return row === undefined ? null : { ...row.fields, created_at: row.created, updated_at: row.created, sequence: row.sequence };
  };
  const setup: IngestSetup = {
    items: {
      get: async (itemId) => storedOf(itemId),
      put: async (write) => {
        await beforeWrite;
        writes.push(write);
        const { item, hiddenStates, vectors } = write;
        const created = !store.rows.has(item.item_id);
        const { title, hidden } = item;
        const sequence = store.put(item.item_id, { title: title ?? '', hidden, states: hiddenStates, vectors: [...vectors] });
        return { sequence, created, created_at: store.rows.get(item.item_id)?.created ?? 0 };
      },
      updateFields: async ({ item_id: itemId, title, hidden }) =>
        store.rows.has(itemId) ? { sequence: store.updateFields(itemId, { title: title ?? '', hidden }), created: false, created_at: 0 } : null,
      delete: async (itemId) => (store.rows.has(itemId) ? { sequence: store.remove(itemId) } : null),
    },
    fuse: async (itemId, states) =>
      (await Promise.all(generations.map(({ fusing }) => fuseItem(fusing.model, itemId, states)))).filter((vector) => vector !== null),
    indexed: async (change, level) => void (await Promise.all(generations.map(({ indexer }) => indexer.indexed(change, level)))),
    inEffect: async () => undefined,
    describe: async (itemIds) =>
      itemIds.map((itemId): ItemStatus => {
        const item = serving.index.items.get(itemId);
        const state = item?.hidden === true ? 'hidden' : item?.vector != null ? 'searchable' : item === undefined ? 'stored' : 'pending_features';
        return { state, hasVector: item?.vector != null, model: { fingerprint: 'model-0', version: '1' } };
      }),
    popularity: { markDeleted: (itemId: string) => void deleted.push(itemId) },
    maxQueue,
    metrics: createMetrics(),
    log,
  };
  const holdWrites = (until: Promise<void>): void => {
    beforeWrite = until;
  };
  return { ingest: createIngest(setup), store, serving, generations, writes, deleted, holdWrites };
}

const codeOf = (code: string) => (error: unknown) => (error as ReelfuseError).code === code;

test('a put is fused by every model first, and one write holds item, hidden states and vectors', { timeout }, async () => {
  const { ingest, generations, writes } = await open({ others: 1 });
  const { created, state, sequence, searchable_after_ms: after } = await ingest.put(fieldsNamed('a', 'title'), statesOf(3));
  assert.deepEqual([created, state, sequence, after !== null], [true, 'searchable', 1, true]);
  assert.deepEqual(
    writes.map(({ item, hiddenStates, vectors }) => [item.item_id, hiddenStates?.data[0], vectors.map(({ fingerprint }) => fingerprint)]),
    [['a', 3, ['model-0', 'model-1']]],
  );
  for (const { index, fusing } of generations) assert.deepEqual([index.items.get('a')?.vector, fusing.fused], [3, ['a']]);
  const again = await ingest.put(fieldsNamed('a', 'again'), null);
  assert.deepEqual([again.created, again.state, again.searchable_after_ms], [false, 'pending_features', null]);
});

test('with wait=stored the receipt comes when the item is durable and its fields hold; the vector follows', { timeout }, async () => {
  const { ingest, serving, writes } = await open();
  await ingest.put(fieldsNamed('a', 'title'), statesOf(1));
  const slow = gate();
  serving.fusing.held.set('a', slow.opened);
  const receipt = await ingest.put(fieldsNamed('a', 'second', true), statesOf(2), { wait: 'stored' });
  assert.deepEqual([receipt.state, receipt.searchable_after_ms, receipt.created], ['hidden', null, false]);
  assert.deepEqual(serving.index.items.get('a'), { title: 'second', hidden: true, vector: 1 });
  assert.deepEqual(writes[1]?.vectors, []);
  slow.open();
  await ingest.settle();
  assert.equal(serving.index.items.get('a')?.vector, 2);
  const stored = await ingest.put(fieldsNamed('b', 'b'), statesOf(1), { wait: 'stored' });
  assert.deepEqual([stored.state, stored.created], ['stored', true]);
});

test('a patch of fields keeps the vector; one with hidden states brings another', { timeout }, async () => {
  const { ingest, serving, store } = await open();
  await ingest.put(fieldsNamed('a', 'title'), statesOf(1));
  const patched = await ingest.patch('a', { fields: (stored) => fieldsNamed('a', `${stored.title} and more`) });
  assert.deepEqual([patched.state, serving.index.items.get('a')], ['searchable', { title: 'title and more', hidden: false, vector: 1 }]);
  await ingest.patch('a', { fields: () => fieldsNamed('a', 'x'), hiddenStates: statesOf(2) });
  assert.equal(serving.index.items.get('a')?.vector, 2);
  const early = await ingest.patch('a', { fields: () => fieldsNamed('a', 'hidden', true) }, { wait: 'stored' });
  assert.deepEqual([early.state, serving.index.items.get('a')?.hidden, store.rows.get('a')?.states?.data[0]], ['hidden', true, 2]);
});

test('a deleted item is gone from every generation when that is acknowledged, and popularity is told', { timeout }, async () => {
  const { ingest, generations, deleted } = await open({ others: 1 });
  await ingest.put(fieldsNamed('a', 'title'), statesOf(1));
  const { state, searchable_after_ms: after } = await ingest.remove('a');
  assert.deepEqual([state, after, deleted], ['deleted', null, ['a']]);
  for (const { index } of generations) assert.equal(index.items.has('a'), false);
});

test('what does not exist and what was not expected is refused before anything is written', { timeout }, async () => {
  const { ingest, writes, deleted } = await open();
  await assert.rejects(ingest.patch('a', { fields: (stored) => stored }), codeOf('item_not_found'));
  await assert.rejects(ingest.remove('a'), codeOf('item_not_found'));
  await assert.rejects(ingest.remove('a', { match: 'any' }), codeOf('item_not_found'));
  await assert.rejects(ingest.put(fieldsNamed('a', 'a'), null, { precondition: { match: 'any' } }), codeOf('precondition_failed'));
  const { sequence } = await ingest.put(fieldsNamed('a', 'a'), null, { precondition: { noneMatch: 'any' } });
  await assert.rejects(ingest.put(fieldsNamed('a', 'b'), null, { precondition: { noneMatch: 'any' } }), codeOf('precondition_failed'));
  await assert.rejects(ingest.patch('a', { fields: (stored) => stored }, { precondition: { match: [sequence + 1] } }), codeOf('precondition_failed'));
  await assert.rejects(ingest.remove('a', { match: [sequence + 1] }), codeOf('precondition_failed'));
  assert.deepEqual([writes.length, deleted], [1, []]);
  await ingest.put(fieldsNamed('a', 'b'), null, { precondition: { match: [sequence] } });
});

test('writes to one item take effect in the order of their arrival; other items do not wait for them', { timeout }, async () => {
  const { ingest, serving } = await open();
  const slow = gate();
  serving.fusing.held.set('a', slow.opened);
  const done: string[] = [];
  const note = (name: string) => () => void done.push(name);
  const writes = [
    ingest.put(fieldsNamed('a', 'first'), statesOf(1)).then(note('first')),
    ingest.patch('a', { fields: (stored) => fieldsNamed('a', `after ${stored.title}`) }).then(note('patch')),
    ingest.remove('a').then(note('remove')),
  ];
  await ingest.put(fieldsNamed('b', 'b'), statesOf(2)).then(note('b'));
  slow.open();
  await Promise.all(writes);
  assert.deepEqual(done, ['b', 'first', 'patch', 'remove']);
  assert.deepEqual(serving.index.notes, ['put b 2', 'put a 1', 'fields a', 'delete a']);
});

test('when too many writes are under way new ones are refused, or wait for a place where they may', { timeout }, async () => {
  const { ingest, holdWrites, writes } = await open({ maxQueue: 1 });
  const disk = gate();
  holdWrites(disk.opened);
  const first = ingest.put(fieldsNamed('a', 'a'), null);
  await assert.rejects(ingest.put(fieldsNamed('b', 'b'), null), codeOf('overloaded'));
  const patient = ['c', 'd'].map((id) => ingest.put(fieldsNamed(id, id), null, { whenFull: 'wait' }));
  await turn();
  disk.open();
  await Promise.all([first, ...patient]);
  assert.deepEqual(
    writes.map(({ item }) => item.item_id),
    ['a', 'c', 'd'],
  );
});

test('a write that waits for its vector keeps its place after it was acknowledged', { timeout }, async () => {
  const { ingest, serving } = await open({ maxQueue: 1 });
  const slow = gate();
  serving.fusing.held.set('a', slow.opened);
  await ingest.put(fieldsNamed('a', 'a'), statesOf(1), { wait: 'stored' });
  await assert.rejects(ingest.put(fieldsNamed('b', 'b'), null), codeOf('overloaded'));
  slow.open();
  await ingest.settle();
  await ingest.put(fieldsNamed('b', 'b'), null);
});

test('an item whose fusing fails is refused before it is stored; with wait=stored it is kept, and loses its old vector', { timeout }, async () => {
  const { ingest, serving, store } = await open();
  await ingest.put(fieldsNamed('a', 'a'), statesOf(1));
  serving.fusing.failing.set('a', new Error('no memory'));
  await assert.rejects(ingest.put(fieldsNamed('a', 'second'), statesOf(2)), /no memory/);
  assert.deepEqual([store.rows.get('a')?.fields.title, serving.index.items.get('a')?.vector], ['a', 1]);
  await ingest.put(fieldsNamed('a', 'second'), statesOf(2), { wait: 'stored' });
  await ingest.settle();
  assert.deepEqual([store.rows.get('a')?.fields.title, serving.index.items.get('a')], ['second', { title: 'second', hidden: false, vector: null }]);
});

test('every generation knows an item by the age that the store knows, also one that has not loaded it yet', { timeout }, async () => {
  const { ingest, generations, store } = await open({ others: 1 });
  const ids = ['put', 'patched', 'durable', 'new'] as const;
  for (const id of ids.slice(0, 3)) await ingest.put(fieldsNamed(id, id), statesOf(1));
  const [serving, loading] = generations;
  loading?.index.items.clear(); // it knows none of these items
  loading?.index.created.clear();
  await ingest.put(fieldsNamed('put', 'again'), null);
  await ingest.patch('patched', { fields: (stored) => ({ ...stored, title: 'patched' }) });
  await ingest.put(fieldsNamed('durable', 'durable first'), null, { wait: 'stored' });
  await ingest.put(fieldsNamed('new', 'new'), null);
  await ingest.settle();
  const stored = ids.map((id) => store.rows.get(id)?.created);
  assert.deepEqual(
    ids.map((id) => serving?.index.created.get(id)),
    stored,
  );
  assert.deepEqual(
    ids.map((id) => loading?.index.created.get(id)),
    stored,
  );
});
