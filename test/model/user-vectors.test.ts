import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUserVectors } from '../../src/model/user-vectors.js';
import { bodyOf, type Api } from '../api.js';
import { build, clip, demoStates, putClips } from '../build.js';

const MIB = 2 ** 20;
const vectorOf = (...values: number[]): Float32Array => Float32Array.of(...values);
const history = (...slots: number[]): Int32Array => Int32Array.of(...slots);

test('a user vector is found again by the same history, in the same order', () => {
  const kept = createUserVectors(MIB);
  kept.keep(history(3, 1), vectorOf(1, 2), kept.now());
  assert.deepEqual(kept.find(history(3, 1)), vectorOf(1, 2));
  assert.equal(kept.find(history(1, 3)), undefined);
  assert.equal(kept.find(history(3)), undefined);
  // a view into a longer message is the same history
  assert.deepEqual(kept.find(history(9, 3, 1, 9).subarray(1, 3)), vectorOf(1, 2));
});

test('it is out of date once a slot of the history held something else, however high its number', () => {
  const kept = createUserVectors(MIB);
  for (const slots of [[3, 1], [1], [1_000_000]]) kept.keep(history(...slots), vectorOf(1), kept.now());
  kept.forget([3, 1_000_000]);
  assert.equal(kept.find(history(3, 1)), undefined);
  assert.equal(kept.find(history(1_000_000)), undefined);
  assert.deepEqual(kept.find(history(1)), vectorOf(1));
  kept.keep(history(3, 1), vectorOf(5), kept.now());
  assert.deepEqual(kept.find(history(3, 1)), vectorOf(5));
});

test('what was begun before a slot changed is not taken for something newer', () => {
  const kept = createUserVectors(MIB);
  const begun = kept.now();
  kept.forget([1]);
  kept.keep(history(1), vectorOf(1), begun);
  assert.equal(kept.find(history(1)), undefined);
});

test('memory is bounded: the vector that was not asked for the longest goes', () => {
  const kept = createUserVectors(1000);
  for (let slot = 0; slot < 4; slot++) kept.keep(history(slot), vectorOf(slot), kept.now());
  kept.find(history(0));
  kept.keep(history(4), vectorOf(4), kept.now());
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((slot) => kept.find(history(slot)) !== undefined),
    [true, false, true, true, true],
  );
  const none = createUserVectors(0);
  none.keep(history(1), vectorOf(1), none.now());
  assert.equal(none.find(history(1)), undefined);
});

const made = async (api: Api): Promise<Record<string, number>> => {
  const text = await api.metrics();
  return Object.fromEntries(
    [...text.matchAll(/^reelfuse_user_vectors_total\{source="(\w+)"\} (\d+)$/gm)].map(([, source, count]) => [source, Number(count)]),
  );
};

const scores = async (api: Api): Promise<unknown> => {
  const { items } = await bodyOf(api.recommend({ history: [clip(1), clip(2)], k: 5 }));
  return items.map(({ item_id: itemId, score }) => [itemId, score]);
};

test('a history that is asked for again is not embedded again, until one of its clips changes', async (t) => {
  const one = await build(t);
  const other = await build(t, { REELFUSE_USER_VECTOR_MIB: '0' });
  for (const { app } of [one, other]) await putClips(app, 20);
  const [{ api }, { api: withoutMemory }] = [one, other];
  const first = await scores(api);
  assert.deepEqual(await scores(api), first);
  assert.deepEqual(await made(api), { tower: 1, memory: 1 });
  // the second replacement takes the slot that the first one left
  for (const states of [clip(500), clip(501)])
    for (const each of [api, withoutMemory]) {
      const payload = { hidden_states: demoStates(states) };
      assert.equal((await each.putItem(clip(2), payload)).status, 200);
    }
  const changed = await scores(api);
  assert.notDeepEqual(changed, first);
  assert.deepEqual(changed, await scores(withoutMemory));
  assert.deepEqual(await made(api), { tower: 2, memory: 1 });
  assert.deepEqual(await made(withoutMemory), { tower: 1, memory: 0 });
});

test('what an explanation tries without one of the clips does not push out what users have', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 20);
  const ask = async (payload: object): Promise<void> => {
    assert.equal((await api.recommend(payload)).status, 200);
  };
  await ask({ history: [clip(1), clip(2)], k: 5, explain: true });
  assert.deepEqual(await made(api), { tower: 3, memory: 0 });
  await ask({ history: [clip(1)], k: 5 });
  assert.deepEqual(await made(api), { tower: 4, memory: 0 });
  await ask({ history: [clip(1), clip(2)], k: 5 });
  assert.deepEqual(await made(api), { tower: 4, memory: 1 });
});
