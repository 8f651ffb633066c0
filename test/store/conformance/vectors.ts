import assert from 'node:assert/strict';
import { conformanceOf, fields, item, states, UNUSUAL_IDS, vector } from './stores.js';

const MEMBERS = { save: true, list: true, getMany: true, discard: true, dropOthers: true } as const;

export const vectorsConformance = conformanceOf('vectors', MEMBERS, (behaves) => {
  behaves("vectors belong to a fingerprint and end with their item's features", async ({ items, vectors }) => {
    const one = new Float32Array([0.5, -1]);
    await items.put(item('a', { vectors: [{ vector: one, id_share: 0.5, fingerprint: 'f1' }] }));
    await vectors.save('f2', [
      { item_id: 'a', vector: one, id_share: 0.25 },
      { item_id: 'gone', vector: one, id_share: 1 },
    ]);
    const shares = async (fingerprint: string) => (await vectors.list(fingerprint, null, 100)).map(({ stored }) => stored?.id_share ?? null);
    assert.deepEqual([await shares('f1'), await shares('f2'), await shares('f3')], [[0.5], [0.25], [null]]);
    assert.deepEqual((await vectors.list('f1', null, 100))[0]?.stored?.vector, one);
    await items.put(item('a'));
    assert.deepEqual([await shares('f1'), await shares('f2')], [[null], [null]]);
  });

  behaves('vectors of an item are discarded for every fingerprint, and those of others stay', async ({ items, vectors, changes }) => {
    for (const id of ['a', 'b']) await items.put(item(id, { vectors: [{ fingerprint: 'f1', vector: vector(1), id_share: 1 }] }));
    await vectors.save('f2', [{ item_id: 'a', vector: vector(2), id_share: 1 }]);
    const before = changes.sequence;
    await vectors.discard(['a', 'unknown']);
    const has = async (fingerprint: string) => (await vectors.list(fingerprint, null, 10)).map(({ stored }) => stored !== null);
    assert.deepEqual([await has('f1'), await has('f2'), changes.sequence], [[false, true], [false, false], before]);
  });

  behaves('a put drops vectors of the fingerprints that it does not bring', async ({ items, vectors }) => {
    const of = (fingerprint: string, id_share: number) => ({ fingerprint, vector: vector(id_share), id_share });
    await items.put(item('a', { vectors: [of('f1', 0.1), of('f2', 0.2)] }));
    await items.put(item('a', { vectors: [of('f2', 0.3)] }));
    assert.equal((await vectors.getMany('f1', ['a']))[0]?.stored, null);
    assert.deepEqual((await vectors.getMany('f2', ['a']))[0]?.stored, { vector: vector(0.3), id_share: 0.3 });
  });

  behaves('a vector that comes after its item was deleted is left out, also when the item comes back', async ({ items, vectors }) => {
    await items.put(item('a'));
    await items.delete('a');
    await vectors.save('f', [{ item_id: 'a', vector: vector(1), id_share: 1 }]);
    await items.put(item('a'));
    assert.equal((await vectors.getMany('f', ['a']))[0]?.stored, null);
  });

  behaves('a vector is left out when its item has changed since it was read', async ({ items, vectors }) => {
    const { sequence } = await items.put(item('a', { hiddenStates: states(1, 2) }));
    const save = (since: number) => vectors.save('f', [{ item_id: 'a', vector: vector(since), id_share: 1, sequence: since }]);
    const stored = async () => (await vectors.getMany('f', ['a']))[0]?.stored;
    await save(sequence);
    assert.deepEqual(await stored(), { vector: vector(sequence), id_share: 1 });
    const changed = await items.put(item('a', { hiddenStates: states(3, 4) }));
    await save(sequence);
    assert.equal(await stored(), null);
    await save(changed.sequence);
    assert.deepEqual(await stored(), { vector: vector(changed.sequence), id_share: 1 });
    await items.delete('a');
    const again = await items.put(item('a'));
    await save(changed.sequence);
    assert.equal(await stored(), null);
    await save(again.sequence + 10);
    assert.deepEqual(await stored(), { vector: vector(again.sequence + 10), id_share: 1 });
  });

  behaves('a saved vector replaces the one before, outlives a restart, and is no change of its item', async ({ items, vectors, changes }, reopen) => {
    const { sequence } = await items.put(item('a'));
    const whole = vector(9, 1, 2, 9); // a part of a larger buffer is saved as that part
    await vectors.save('f', [{ item_id: 'a', vector: vector(5), id_share: 1 }]);
    await vectors.save('f', [{ item_id: 'a', vector: whole.subarray(1, 3), id_share: 0.5 }]);
    assert.deepEqual([changes.sequence, changes.itemSequence], [sequence, sequence]);
    const reopened = await reopen();
    assert.deepEqual((await reopened.vectors.getMany('f', ['a']))[0]?.stored, { vector: vector(1, 2), id_share: 0.5 });
  });

  behaves('items come with their fields, and with or without vector and hidden states, in pages by id', async ({ items, vectors }) => {
    await items.put(item('both', { hiddenStates: states(1, 2), vectors: [{ fingerprint: 'f', vector: vector(1), id_share: 1 }] }));
    await items.put(item('states', { hiddenStates: states(1, 2) }));
    await items.put(item('neither', { item: fields('neither', { hidden: true, attributes: { n: 1 } }) }));
    const page = await vectors.list('f', null, 10);
    assert.deepEqual(
      page.map(({ item_id: id, stored, has_hidden_states: has }) => [id, stored !== null, has]),
      [
        ['both', true, true],
        ['neither', false, false],
        ['states', false, true],
      ],
    );
    const stored = await items.get('neither');
    assert.deepEqual(page[1], { ...stored, stored: null, has_hidden_states: false });
    assert.deepEqual(await vectors.list('f', 'both', 1), [page[1]]);
    assert.deepEqual(await vectors.list('f', 'states', 10), []);
  });

  behaves('of many ids, known ones come once each, by id', async ({ items, vectors }) => {
    for (const id of UNUSUAL_IDS) await items.put(item(id));
    const read = await vectors.getMany('f', ['unknown', ...UNUSUAL_IDS.toReversed(), 'a']);
    assert.deepEqual(
      read.map(({ item_id: id }) => id),
      [...UNUSUAL_IDS],
    );
    assert.deepEqual(await vectors.getMany('f', []), []);
  });

  behaves('vectors of other fingerprints are dropped in steps of a limit', async ({ items, vectors }) => {
    for (const id of ['a', 'b', 'c']) await items.put(item(id));
    const all = ['a', 'b', 'c'].map((id) => ({ item_id: id, vector: vector(1), id_share: 1 }));
    for (const fingerprint of ['kept', 'old', 'older']) await vectors.save(fingerprint, all);
    const steps: number[] = [];
    for (const _ of [1, 2, 3]) steps.push(await vectors.dropOthers(['kept', 'unknown'], 4));
    assert.deepEqual(steps, [4, 2, 0]);
    const count = async (fingerprint: string) => (await vectors.list(fingerprint, null, 10)).filter(({ stored }) => stored !== null).length;
    assert.deepEqual([await count('kept'), await count('old'), await count('older')], [3, 0, 0]);
    assert.equal(await vectors.dropOthers([], 10), 3);
  });
});
