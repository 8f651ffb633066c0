import assert from 'node:assert/strict';
import type { ItemChange } from '../../../src/store/changes.js';
import { randomOf } from '../../random.js';
import { createReader, itemsOf, randomWrite } from './feed-reader.js';
import { conformanceOf, event, fields, item, states, vector } from './stores.js';
import { beforeAndAfter } from './suite.js';

const MEMBERS = { sequence: true, itemSequence: true, reached: true, since: true, onItemChange: true } as const;

const namesOf = (changes: readonly ItemChange[]): [number, string, boolean][] =>
  changes.map(({ sequence, item_id: id, kind }) => [sequence, id, kind === 'delete']);
const kindsOf = (changes: readonly ItemChange[]): string[] => changes.map(({ item_id: id, kind }) => `${id} ${kind}`);

export const changesConformance = conformanceOf('changes', MEMBERS, (behaves) => {
  behaves('a feed of nothing is empty', async ({ changes }) => {
    assert.deepEqual([changes.sequence, changes.itemSequence, await changes.since(0, 10)], [0, 0, []]);
    assert.equal(await changes.reached(0, 0), true);
  });

  behaves('events and erasures count, but are no changes of items', async ({ changes, items, events }) => {
    const { sequence } = await items.put(item('a'));
    const { sequence: appended } = await events.append([event('1', 'u', 'a', 1)]);
    const { sequence: erased } = await events.eraseUser('u', 10);
    assert.ok(sequence < appended && appended < erased);
    assert.deepEqual([changes.sequence, changes.itemSequence], [erased, sequence]);
    assert.deepEqual(await changes.since(sequence, 10), []);
  });

  behaves('a write is visible in the sequence and in the feed when it resolves', async ({ changes, items }) => {
    for (const write of [() => items.put(item('a')), () => items.updateFields(fields('a')), () => items.delete('a')]) {
      const { sequence } = (await write()) ?? { sequence: NaN };
      assert.deepEqual([changes.sequence, changes.itemSequence], [sequence, sequence]);
      assert.deepEqual(namesOf(await changes.since(sequence - 1, 10))[0]?.slice(0, 2), [sequence, 'a']);
    }
  });

  behaves('a change is waited for until it is there, or until the time is over', async ({ changes, items }) => {
    const { sequence: first } = await items.put(item('a'));
    const coming = changes.reached(first + 1, 10_000);
    const tooFar = changes.reached(Number.MAX_SAFE_INTEGER, 2);
    const { sequence: second } = await items.put(item('b'));
    assert.deepEqual([await coming, await tooFar], [true, false]);
    assert.equal(await changes.reached(second, 0), true);
  });

  behaves('each item comes once, with its newest change, in the order of the sequences', async (stores, reopen) => {
    const { items } = stores;
    await items.put(item('a'));
    await items.put(item('b'));
    const { sequence: third } = await items.put(item('c'));
    const { sequence: fourth } = await items.put(item('a'));
    const fifth = (await items.delete('b'))?.sequence ?? assert.fail();
    const wanted = [
      [third, 'c', false],
      [fourth, 'a', false],
      [fifth, 'b', true],
    ];
    for await (const { changes: feed } of beforeAndAfter(stores, reopen)) {
      assert.deepEqual(namesOf(await feed.since(0, 10)), wanted);
      assert.deepEqual(namesOf(await feed.since(third, 10)), wanted.slice(1));
      assert.deepEqual(namesOf(await feed.since(fourth, 10)), wanted.slice(2));
      assert.deepEqual(await feed.since(fifth, 10), []);
      assert.deepEqual([feed.sequence, feed.itemSequence], [fifth, fifth]);
    }
  });

  behaves('an item that was deleted and put again is a put', async (stores, reopen) => {
    const { items } = stores;
    const { sequence } = await items.put(item('a'));
    await items.delete('a');
    await items.put(item('a'));
    for await (const { changes: feed } of beforeAndAfter(stores, reopen)) assert.deepEqual(kindsOf(await feed.since(sequence, 10)), ['a put']);
  });

  behaves(
    'fields that change after a put within the range are a put with the newest fields and the vectors of the put',
    async ({ changes, items }) => {
      const ofPut = [{ fingerprint: 'f', vector: vector(1, 2), id_share: 0.5 }];
      const { created_at: createdAt, sequence: ofFirst } = await items.put(item('a', { hiddenStates: states(1, 2), vectors: ofPut }));
      await items.updateFields(fields('a', { title: 'second' }));
      const last = await items.updateFields(fields('a', { title: 'third' }));
      const [change, ...others] = await changes.since(0, 10);
      assert.deepEqual([change?.kind, change?.sequence, others], ['put', last?.sequence, []]);
      const written = { fields: fields('a', { title: 'third' }), created_at: createdAt, has_hidden_states: true, vectors: ofPut };
      if (change?.written) assert.deepEqual(change.written, written); // null: to be read
      const after = (await changes.since(ofFirst, 10))[0];
      if (after?.written) assert.deepEqual([after.kind, after.written], ['fields', { ...written, vectors: [] }]);
    },
  );

  behaves('what was written comes with the change, if it does, as the store has it', async ({ changes, items }) => {
    await items.put(item('a', { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(1), id_share: 1 }] }));
    await items.put(item('a', { item: fields('a', { hidden: true, attributes: { n: [1] } }) }));
    await items.put(item('b'));
    await items.delete('b');
    const [a, b] = await changes.since(0, 10);
    if (a?.written) {
      const { created_at, updated_at: _, sequence: __, ...stored } = (await items.get('a')) ?? assert.fail();
      assert.deepEqual(a.written, { fields: stored, created_at, has_hidden_states: false, vectors: [] });
    }
    assert.deepEqual([b?.kind, b?.written], ['delete', null]);
  });

  behaves('vectors that are saved are no change', async ({ changes, items, vectors }) => {
    const { sequence } = await items.put(item('a'));
    await vectors.save('f', [{ item_id: 'a', vector: vector(1), id_share: 1 }]);
    assert.deepEqual([changes.sequence, await changes.since(sequence, 10)], [sequence, []]);
  });

  behaves('listeners hear of a change of an item before its write resolves, and find it in the feed', async ({ changes, items, events }) => {
    const order: string[] = [];
    const sequences: number[] = [];
    const found: Promise<ItemChange[]>[] = [];
    const stop = changes.onItemChange(() => {
      order.push('heard');
      sequences.push(changes.itemSequence);
      found.push(changes.since(changes.itemSequence - 1, 10));
    });
    const wrote = async (write: Promise<unknown>, name: string): Promise<void> => {
      await write;
      order.push(name);
    };
    await wrote(items.put(item('a')), 'put');
    await wrote(items.updateFields(fields('a')), 'fields');
    await wrote(items.delete('a'), 'delete');
    await wrote(events.append([event('1', 'u', 'a', 1)]), 'event');
    await wrote(items.delete('a'), 'nothing');
    stop();
    await wrote(items.put(item('b')), 'unheard');
    assert.deepEqual(order, ['heard', 'put', 'heard', 'fields', 'heard', 'delete', 'event', 'nothing', 'unheard']);
    assert.deepEqual(
      (await Promise.all(found)).map((page) => page.map(({ sequence }) => sequence)),
      sequences.map((sequence) => [sequence]),
    );
  });

  for (const seed of [1, 2, 3]) {
    behaves(
      `a reader in small pages has the items of the store in the end, nothing skipped, nothing twice (seed ${seed})`,
      async (stores, reopen) => {
        const random = randomOf(seed);
        const reader = createReader();
        for (let n = 0; n < 150; n++) {
          const writing = Array.from({ length: 1 + Math.floor(random() * 4) }, () => randomWrite(stores, random));
          if (random() < 0.3) await reader.readPage(stores, 1 + Math.floor(random() * 3));
          await Promise.all(writing);
        }
        await reader.readAll(stores, 2);
        assert.deepEqual(reader.items, await itemsOf(stores));
        const late = createReader();
        await late.readAll(stores, 3);
        const reopened = await reopen();
        const afterwards = createReader();
        await afterwards.readAll(reopened, 3);
        assert.deepEqual(late.items, reader.items);
        assert.deepEqual(afterwards.items, reader.items);
      },
    );
  }
});
