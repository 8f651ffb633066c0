import assert from 'node:assert/strict';
import { UNKNOWN_TIME } from '../../../src/domain/item.js';
import { conformanceOf, event, fields, item, states, UNUSUAL_IDS, vector } from './stores.js';
import { beforeAndAfter } from './suite.js';

const MEMBERS = {
  put: true,
  updateFields: true,
  delete: true,
  get: true,
  getMany: true,
  list: true,
  count: true,
  hiddenStates: true,
  withHiddenStates: true,
} as const;

export const itemsConformance = conformanceOf('items', MEMBERS, (behaves) => {
  behaves('an item can be read back, replaced and deleted', async ({ items }) => {
    const data = new Uint8Array([1, 2, 3, 4]);
    const created = await items.put(item('a', { hiddenStates: { dtype: 'float16', shape: [1, 2], data } }));
    assert.equal(created.created, true);
    assert.deepEqual(new Uint8Array((await items.hiddenStates('a'))?.data ?? []), data);
    const replaced = await items.put(item('a'));
    assert.equal(replaced.created, false);
    assert.ok(replaced.sequence > created.sequence);
    assert.equal(await items.hiddenStates('a'), null);
    assert.deepEqual((await items.get('a'))?.attributes, { topic: 'x' });
    assert.ok(((await items.delete('a'))?.sequence ?? 0) > replaced.sequence);
    assert.equal(await items.get('a'), null);
    assert.equal(await items.delete('a'), null);
  });

  behaves('every field comes back as it was written, also after a restart', async (stores, reopen) => {
    const attributes = { tags: ['a', 'é'], length: 21.5, nested: { none: null }, quote: '"\u0000\\', yes: true };
    const full = fields('a', { title: '\u{1F600}', author_id: 'b', attributes, available_from: 1, expires_at: 2 ** 50, hidden: true });
    const hiddenStates = { dtype: 'float32' as const, shape: [2, 1] as [number, number], data: new Uint8Array([0, 255, 1, 2, 3, 4, 5, 6]) };
    const before = Date.now();
    const written = await stores.items.put({ item: full, hiddenStates, vectors: [] });
    assert.ok(written.created_at >= before && written.created_at <= Date.now());
    const stored = { ...full, created_at: written.created_at, updated_at: written.created_at, sequence: written.sequence };
    for await (const { items } of beforeAndAfter(stores, reopen)) {
      assert.deepEqual(await items.get('a'), stored);
      assert.deepEqual(await items.getMany(['a']), [stored]);
      assert.deepEqual(await items.list(null, 1), [stored]);
      const read = await items.hiddenStates('a');
      assert.deepEqual({ ...read, data: new Uint8Array(read?.data ?? []) }, hiddenStates);
    }
  });

  behaves('what a caller does to an item that it has read or written changes nothing in the store', async ({ items }) => {
    const write = item('a');
    await items.put(write);
    write.item.attributes.topic = 'y';
    const read = await items.get('a');
    assert.ok(read);
    read.attributes.topic = 'z';
    assert.deepEqual((await items.get('a'))?.attributes, { topic: 'x' });
  });

  behaves('a change of fields keeps hidden states, vectors and the time of creation', async ({ items, vectors }) => {
    const { created_at: createdAt } = await items.put(
      item('a', { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(1), id_share: 0.5 }] }),
    );
    const updated = await items.updateFields(fields('a', { title: 'new', hidden: true }));
    const read = await items.get('a');
    assert.deepEqual(updated, { sequence: read?.sequence, created: false, created_at: createdAt });
    assert.deepEqual([read?.title, read?.hidden, read?.created_at], ['new', true, createdAt]);
    assert.ok((read?.updated_at ?? 0) >= createdAt);
    assert.deepEqual(new Uint8Array((await items.hiddenStates('a'))?.data ?? []), new Uint8Array([1, 2]));
    assert.deepEqual((await vectors.getMany('f', ['a']))[0]?.stored, { vector: vector(1), id_share: 0.5 });
  });

  behaves('fields of an unknown item are not written', async ({ items, changes }) => {
    assert.equal(await items.updateFields(fields('a')), null);
    assert.equal(await items.count(), 0);
    assert.equal(changes.sequence, 0);
  });

  behaves('an item that is put again keeps its time of creation; after a delete it is a new one', async ({ items }) => {
    const first = await items.put(item('a'));
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal((await items.put(item('a'))).created_at, first.created_at);
    await items.delete('a');
    const again = await items.put(item('a'));
    assert.deepEqual([again.created, again.created_at > first.created_at], [true, true]);
  });

  behaves('an imported item has no time of creation, unless it was there before', async ({ items }) => {
    assert.equal((await items.put({ ...item('a'), isImport: true })).created_at, UNKNOWN_TIME);
    assert.equal((await items.put(item('a'))).created_at, UNKNOWN_TIME);
    const { created_at: created } = await items.put(item('b'));
    assert.equal((await items.put({ ...item('b'), isImport: true })).created_at, created);
    assert.equal((await items.get('a'))?.created_at, UNKNOWN_TIME);
  });

  behaves('a delete takes hidden states and vectors along', async ({ items, vectors }) => {
    await items.put(item('a', { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(1), id_share: 1 }] }));
    await items.delete('a');
    assert.equal(await items.hiddenStates('a'), null);
    assert.deepEqual(await vectors.list('f', null, 10), []);
    await items.put(item('a'));
    assert.equal(await items.hiddenStates('a'), null);
    assert.deepEqual(
      (await vectors.list('f', null, 10)).map(({ stored, has_hidden_states: has }) => [stored, has]),
      [[null, false]],
    );
  });

  behaves('a list goes on after an id, in the order of UTF-8 bytes', async ({ items }) => {
    for (const id of UNUSUAL_IDS.toReversed()) await items.put(item(id));
    const ids = async (after: string | null, limit: number) => (await items.list(after, limit)).map(({ item_id: id }) => id);
    assert.deepEqual(await ids(null, 10), [...UNUSUAL_IDS]);
    assert.deepEqual(await ids(null, 2), UNUSUAL_IDS.slice(0, 2));
    assert.deepEqual(await ids(UNUSUAL_IDS[1], 10), UNUSUAL_IDS.slice(2));
    assert.deepEqual(await ids('b', 1), [UNUSUAL_IDS[1]]);
    assert.deepEqual(await ids(UNUSUAL_IDS[3], 10), []);
    assert.equal(await items.count(), 4);
  });

  behaves('of many ids, known ones are read once each', async ({ items }) => {
    for (const id of UNUSUAL_IDS) await items.put(item(id));
    const read = await items.getMany([...UNUSUAL_IDS, 'unknown', 'a']);
    assert.deepEqual(new Set(read.map(({ item_id: id }) => id)), new Set(UNUSUAL_IDS));
    assert.equal(read.length, UNUSUAL_IDS.length);
    assert.deepEqual(await items.getMany([]), []);
  });

  behaves('it is known which items have hidden states', async ({ items }) => {
    await items.put(item('with', { hiddenStates: states(1, 2) }));
    await items.put(item('without'));
    assert.deepEqual(await items.withHiddenStates(['without', 'with', 'unknown']), new Set(['with']));
    assert.deepEqual(await items.withHiddenStates([]), new Set());
    assert.equal(await items.hiddenStates('unknown'), null);
  });

  behaves('writes take effect in the order of their calls, whether they are awaited or not', async ({ items }) => {
    const titles = Array.from({ length: 20 }, (_, n) => `title ${n}`);
    const written = await Promise.all(titles.map((title) => items.put(item('a', { item: fields('a', { title }) }))));
    const sequences = written.map(({ sequence }) => sequence);
    assert.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
    assert.deepEqual(
      written.map(({ created }) => created),
      titles.map((_, n) => n === 0),
    );
    assert.equal((await items.get('a'))?.title, titles.at(-1));
  });

  behaves('sequences grow over all kinds of writes and go on after a restart', async ({ items, events, changes }, reopen) => {
    const { sequence: first } = await items.put(item('a'));
    const { sequence: second } = await events.append([event('1', 'u', 'a', 1)]);
    const third = (await items.delete('a'))?.sequence ?? 0;
    assert.ok(first < second && second < third);
    assert.equal(changes.sequence, third);
    const reopened = await reopen();
    assert.ok((await reopened.items.put(item('b'))).sequence > third);
  });

  behaves('closing waits for writes on their way', async ({ items }, reopen) => {
    const writing = ['a', 'b', 'c'].map((id) => items.put(item(id)));
    const { items: reopened } = await reopen();
    await Promise.all(writing);
    assert.equal(await reopened.count(), 3);
  });
});
