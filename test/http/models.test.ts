import type { EmbeddedGeneration } from '../../src/composition/embedded-generation.js';
import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bodyOf, type Api } from '../api.js';
import type { Recommendations } from '../../src/client/types.js';
import { build, clip, DEMO_ARTIFACT, demoStates, otherModel, putClips, view } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const recommend = (api: Api, history: string[], k = 50) => api.recommend({ history, k, exact: true });
const servedTo = async (api: Api, history = [clip(1)]) => (await recommend(api, history)).body.items.map(({ item_id: itemId }) => itemId);

/** Of all items, by exact search. */
const scoresOf = async (api: Api): Promise<Map<string, number>> =>
  new Map((await recommend(api, [clip(1)], 500)).body.items.map(({ item_id: id, score }) => [id, score]));

test('a swap answers every request by one model, keeps the writes made meanwhile, and survives a restart', async (t) => {
  const dataDir = temporaryFolder(t);
  const { app, api, services, stop } = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(app, 300);
  await api.sendEvents([view('e', 'u', clip(1))]);
  const before = services.generations.current.artifact.fingerprint;
  const registered = await api.registerModel(await otherModel(t));
  assert.deepEqual([registered.status, registered.body.state], [201, 'registered']);
  const { fingerprint } = registered.body;
  const onOld = await scoresOf(api);

  const started = await api.activateModel(fingerprint);
  assert.deepEqual([started.status, (await api.activateModel(fingerprint)).status], [202, 409]);
  let swapping = true;
  const finished = services.generations.idle().then(() => {
    swapping = false;
  });
  const served: Recommendations[] = [];
  const writesOf = (n: number) => [
    api.putItem(clip(n), { hidden_states: demoStates(clip(n)) }),
    api.deleteItem(clip(n - 299)),
    api.patchItem(clip(n - 1), { title: 'changed' }),
  ];
  for (let n = 301; swapping; n++) {
    // most items stay what they are however long the swap takes
    const [answer, ...writes] = await Promise.all([recommend(api, [clip(1)]), ...(n <= 400 ? writesOf(n) : [])]);
    assert.deepEqual([answer.status, ...writes.map(({ status }) => status)], n <= 400 ? [200, 201, 200, 200] : [200]);
    served.push(answer.body);
  }
  await finished;
  const onNew = await scoresOf(api);
  const moved = [...onNew].filter(([id, score]) => Math.abs(score - (onOld.get(id) ?? NaN)) > 1e-2);
  assert.ok(moved.length > onNew.size / 2); // or a mixture of both could not be told
  const scores = new Map([
    [before, onOld],
    [fingerprint, onNew],
  ]);
  for (const { items, model } of served) {
    const known = items.filter(({ item_id: id }) => scores.get(model.fingerprint)?.has(id));
    assert.ok(known.length >= 10);
    for (const { item_id: id, score } of known) assert.ok(Math.abs(score - (scores.get(model.fingerprint)?.get(id) ?? NaN)) < 1e-4);
  }

  const after = await bodyOf(api.listModels());
  assert.deepEqual([after.swap?.state, after.swap?.error], ['active', null]);
  assert.ok((after.swap?.recall ?? 0) >= 0.9);
  const figures = await api.metrics();
  assert.match(figures, /^reelfuse_swaps_total\{outcome="active"\} 1$/m);
  assert.match(figures, /^reelfuse_swap_progress_ratio 0$/m); // none runs any more
  assert.deepEqual(
    after.models.map(({ fingerprint: one, state }) => [one, state]),
    [
      [before, 'standby'],
      [fingerprint, 'active'],
    ],
  );
  const ids = await servedTo(api);
  const known = new Set([...services.generations.current.catalogue.all.items()].map(({ fields }) => fields.item_id));
  assert.deepEqual(known, new Set([...(services.generations.standby?.catalogue.all.items() ?? [])].map(({ fields }) => fields.item_id)));
  await stop();

  const again = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(again.services.generations.current.artifact.fingerprint, fingerprint);
  assert.deepEqual(new Set([...again.services.generations.current.catalogue.all.items()].map(({ fields }) => fields.item_id)), known);
  assert.deepEqual(await servedTo(again.api), ids);
});

test('switching back is immediate and finds the writes made since', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 30);
  const before = services.generations.current.artifact.fingerprint;
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await api.activateModel(fingerprint);
  await services.generations.idle();
  await api.putItem('written-since', { hidden_states: demoStates(clip(40)) });
  await api.deleteItem(clip(2));
  const back = await api.activateModel(before);
  assert.deepEqual([back.status, back.body.state], [200, 'active']);
  const ids = await servedTo(api);
  assert.deepEqual([ids.includes('written-since'), ids.includes(clip(2)), ids.length], [true, false, 29]);
  assert.equal((await recommend(api, [clip(1)])).body.model.fingerprint, before);
});

test('a switch back that the store cannot remember is refused, and the model that serves goes on', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 5);
  const before = services.generations.current.artifact.fingerprint;
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await api.activateModel(fingerprint);
  await services.generations.idle();
  const { keyValues } = services.stores;
  const { set } = keyValues;
  keyValues.set = () => Promise.reject(new Error('no space'));
  assert.equal((await api.activateModel(before)).status, 500);
  keyValues.set = set;
  assert.equal((await recommend(api, [clip(1)])).body.model.fingerprint, fingerprint);
  assert.equal((await api.activateModel(before)).status, 200);
});

test('a model whose golden vectors do not hold is refused, and the one that serves goes on', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 5);
  const folder = await otherModel(t, { file: 'golden.safetensors', edit: (bytes) => bytes.writeFloatLE(1e6, bytes.length - 4) });
  const { fingerprint } = (await api.registerModel(folder)).body;
  await api.activateModel(fingerprint);
  await services.generations.idle();
  const { swap, models: known } = await bodyOf(api.listModels());
  assert.equal(swap?.state, 'failed');
  assert.match(swap?.error ?? '', /golden output differs/);
  assert.deepEqual([known[0]?.active, known[1]?.state], [true, 'registered']);
  assert.equal((await servedTo(api)).length, 4);
  const put = await api.putItem('a', { hidden_states: demoStates(clip(9)) });
  assert.equal(put.status, 201);
});

test('a file that changes after the registration is named by the swap', async (t) => {
  const { api, services } = await build(t);
  const folder = await otherModel(t);
  const { fingerprint } = (await api.registerModel(folder)).body;
  writeFileSync(join(folder, 'item_ids.txt'), 'x\n');
  await api.activateModel(fingerprint);
  await services.generations.idle();
  assert.match((await bodyOf(api.listModels())).swap?.error ?? '', /item_ids\.txt/);
});

test('a model that can place too few of the items is refused, however well its index finds them', async (t) => {
  const { api, services } = await build(t);
  const items = Array.from({ length: 40 }, (_, n) => ({ item_id: clip(n + 1) })); // known by the rows of the ID table alone
  await api.putItems(items);
  assert.equal((await services.generations.current.catalogue.status()).states.searchable, 40);
  const rename = (bytes: Buffer): void => void bytes.write(bytes.toString().replaceAll('clip-', 'none-'));
  const { fingerprint } = (await api.registerModel(await otherModel(t, { file: 'item_ids.txt', edit: rename }))).body;
  await api.activateModel(fingerprint);
  await services.generations.idle();
  const { swap } = await bodyOf(api.listModels());
  assert.deepEqual([swap?.state, swap?.error], ['failed', '0 items would be searchable, now there are 40; wanted are at least 0.9 of them']);
  assert.equal((await servedTo(api)).length, 39);
});

test('going back to the previous model ends a rebuild that is under way, even one that is about to switch', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 100);
  const { generations, stores } = services;
  const { keyValues } = stores;
  const before = services.generations.current.artifact.fingerprint;
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await api.activateModel(fingerprint);
  await generations.idle();

  assert.equal((await generations.rebuild())?.fingerprint, fingerprint);
  const back = await api.activateModel(before);
  assert.deepEqual([back.status, back.body.state], [200, 'active']);
  assert.equal((await recommend(api, [clip(1)])).body.model.fingerprint, before);
  await generations.idle();
  assert.deepEqual([generations.current.artifact.fingerprint, generations.loaded.length], [before, 2]);

  const { set } = keyValues;
  let late: ReturnType<Api['activateModel']> | null = null;
  keyValues.set = (key, value) => {
    keyValues.set = set;
    late = api.activateModel(fingerprint);
    return set(key, value);
  };
  await generations.rebuild();
  await generations.idle();
  const answered = await (late as unknown as ReturnType<Api['activateModel']>); // made by the rebuild's own switch
  assert.equal(answered.status, 200);
  assert.deepEqual([generations.current.artifact.fingerprint, generations.loaded.length], [fingerprint, 2]);
  assert.deepEqual([await keyValues.get('model_dir'), (await bodyOf(api.listModels())).swap?.state], [generations.current.artifact.folder, 'active']);
  const put = await api.putItem('a', { hidden_states: demoStates(clip(200)) });
  assert.equal(put.status, 201);
});

test('a server that ends while it switches starts again with the model that served last', async (t) => {
  const dataDir = temporaryFolder(t);
  const { app, api, services, stop } = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(app, 20);
  const { generations, stores } = services;
  const { keyValues } = stores;
  const served = services.generations.current.artifact.fingerprint;
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  const { set } = keyValues;
  let ending: Promise<void> | null = null;
  keyValues.set = (key, value) => {
    keyValues.set = set;
    ending = generations.close();
    return set(key, value);
  };
  await api.activateModel(fingerprint);
  await generations.idle();
  await ending;
  assert.notEqual(ending, null);
  await stop();
  const again = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(again.services.generations.current.artifact.fingerprint, served);
});

test('what cannot be registered or activated is said', async (t) => {
  const { api, services } = await build(t);
  const problem = async (folder: string) => (await api.registerModel(folder)).problem.errors[0];
  assert.match((await problem(temporaryFolder(t)))?.detail ?? '', /model\.json cannot be read/);
  assert.deepEqual(await problem('relative'), { pointer: '/folder', detail: 'must be an absolute path' });
  assert.deepEqual([(await api.activateModel('nobody')).status], [404]);
  const same = await api.activateModel(services.generations.current.artifact.fingerprint);
  assert.deepEqual([same.status, same.body.state], [200, 'active']);
});

test('a setting that names another model than last time wins over the one that was activated', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const other = await otherModel(t);
  const { fingerprint } = (await first.api.registerModel(other)).body;
  const original = first.services.generations.current.artifact.fingerprint;
  await first.api.activateModel(fingerprint);
  await first.services.generations.idle();
  await first.stop();
  const copy = join(temporaryFolder(t), 'copy');
  cpSync(DEMO_ARTIFACT, copy, { recursive: true });
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: copy });
  assert.equal(second.services.generations.current.artifact.fingerprint, original);
});

test('a rebuilt index need only be as good as the one it replaces, another model is measured by the setting', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 100);
  const { generations, stores } = services;
  const { events } = stores;
  const { users } = events;
  events.users = (...given) => {
    // asked for just before recall is measured: from here on both indexes find a half
    for (const { pool } of generations.loaded as readonly EmbeddedGeneration[]) {
      const { search } = pool;
      pool.search = async (prepare) => {
        let isExact = true;
        const found = await search(() => {
          const job = prepare();
          isExact = job?.options?.exact === true;
          return job;
        });
        return found === null || isExact ? found : { ...found, count: found.count / 2 };
      };
    }
    return users(...given);
  };
  const before = generations.current;
  await generations.rebuild();
  await generations.idle();
  assert.deepEqual([generations.swap?.state, generations.swap?.recall], ['active', 0.5]);
  assert.notEqual(generations.current, before);
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await api.activateModel(fingerprint);
  await generations.idle();
  assert.equal((await bodyOf(api.listModels())).swap?.error, 'recall@20 of the new index is 0.5000, wanted is at least 0.9');
});

test('a model that was asked for does not wait for a rebuild', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 50);
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await services.generations.rebuild();
  const [first, second] = await Promise.all([api.activateModel(fingerprint), api.activateModel(fingerprint)]);
  assert.deepEqual([first.status, second.status], [202, 409]);
  await services.generations.idle();
  assert.deepEqual([services.generations.current.artifact.fingerprint, services.generations.loaded.length], [fingerprint, 2]);
});

test('a model that fails while it is being switched to is refused', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 5);
  const { generations, stores } = services;
  const { keyValues } = stores;
  const before = generations.current;
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  const { set } = keyValues;
  keyValues.set = async (key, value) => {
    keyValues.set = set;
    await set(key, value);
    for (const { indexer } of generations.loaded)
      if (indexer !== before.indexer) Object.defineProperty(indexer, 'failure', { get: () => new Error('a thread has died') });
  };
  await api.activateModel(fingerprint);
  await generations.idle();
  const { swap } = await bodyOf(api.listModels());
  assert.deepEqual([swap?.state, swap?.error, generations.current], ['failed', 'a thread has died', before]);
  assert.equal(await keyValues.get('model_dir'), 'demo');
  assert.equal((await servedTo(api)).length, 4);
});
