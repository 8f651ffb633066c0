import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TypedApp } from '../../src/http/typed-app.js';
import { build, clip, DEMO_ARTIFACT, demoStates, otherModel, putClips, temporaryFolder, view } from '../build.js';

interface Model {
  fingerprint: string;
  version: string;
  state: string;
  active: boolean;
}
interface Answer {
  items: { item_id: string; score: number }[];
  model: Model;
}
interface Swap {
  fingerprint: string;
  state: string;
  error: string | null;
  recall: number | null;
  items_done: number;
}

const register = (app: TypedApp, folder: string) => app.inject({ method: 'POST', url: '/v1/models', payload: { folder } });
const activate = (app: TypedApp, fingerprint: string) => app.inject({ method: 'POST', url: `/v1/models/${fingerprint}/activate` });
const models = async (app: TypedApp) => (await app.inject('/v1/models')).json<{ models: Model[]; swap: Swap }>();
const recommend = (app: TypedApp, history: string[], k = 50) =>
  app.inject({ method: 'POST', url: '/v1/recommendations', payload: { history, k, exact: true } });
const idsOf = async (app: TypedApp, history = [clip(1)]) =>
  (await recommend(app, history)).json<{ items: { item_id: string }[] }>().items.map(({ item_id: itemId }) => itemId);

/** Of all items, by exact search. */
const scoresOf = async (app: TypedApp): Promise<Map<string, number>> =>
  new Map((await recommend(app, [clip(1)], 500)).json<Answer>().items.map(({ item_id: id, score }) => [id, score]));

test('a swap answers every request by one model, keeps the writes made meanwhile, and survives a restart', async (t) => {
  const dataDir = temporaryFolder(t);
  const { app, services, stop } = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(app, 300);
  await app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e', 'u', clip(1))] } });
  const before = services.generation.artifact.fingerprint;
  const registered = await register(app, await otherModel(t));
  assert.deepEqual([registered.statusCode, registered.json<Model>().state], [201, 'registered']);
  const { fingerprint } = registered.json<Model>();
  const onOld = await scoresOf(app);

  const started = await activate(app, fingerprint);
  assert.deepEqual([started.statusCode, (await activate(app, fingerprint)).statusCode], [202, 409]);
  let swapping = true;
  const finished = services.generations.idle().then(() => {
    swapping = false;
  });
  const served: Answer[] = [];
  const writesOf = (n: number) => [
    app.inject({ method: 'PUT', url: `/v1/items/${clip(n)}`, payload: { hidden_states: demoStates(clip(n)) } }),
    app.inject({ method: 'DELETE', url: `/v1/items/${clip(n - 299)}` }),
    app.inject({ method: 'PATCH', url: `/v1/items/${clip(n - 1)}`, payload: { title: 'changed' } }),
  ];
  for (let n = 301; swapping; n++) {
    // most items stay what they are however long the swap takes
    const [answer, ...writes] = await Promise.all([recommend(app, [clip(1)]), ...(n <= 400 ? writesOf(n) : [])]);
    assert.deepEqual([answer.statusCode, ...writes.map(({ statusCode }) => statusCode)], n <= 400 ? [200, 201, 200, 200] : [200]);
    served.push(answer.json<Answer>());
  }
  await finished;
  const onNew = await scoresOf(app);
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

  const after = await models(app);
  assert.deepEqual([after.swap.state, after.swap.error], ['active', null]);
  assert.ok((after.swap.recall ?? 0) >= 0.9);
  const { body: figures } = await app.inject('/metrics');
  assert.match(figures, /^reelfuse_swaps_total\{outcome="active"\} 1$/m);
  assert.match(figures, /^reelfuse_swap_progress_ratio 0$/m); // none runs any more
  assert.deepEqual(
    after.models.map(({ fingerprint: one, state }) => [one, state]),
    [
      [before, 'standby'],
      [fingerprint, 'active'],
    ],
  );
  const ids = await idsOf(app);
  const known = new Set([...services.generation.catalogue.items()].map(({ fields }) => fields.item_id));
  assert.deepEqual(known, new Set([...(services.generations.standby?.catalogue.items() ?? [])].map(({ fields }) => fields.item_id)));
  await stop();

  const again = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(again.services.generation.artifact.fingerprint, fingerprint);
  assert.deepEqual(new Set([...again.services.generation.catalogue.items()].map(({ fields }) => fields.item_id)), known);
  assert.deepEqual(await idsOf(again.app), ids);
});

test('switching back is immediate and finds the writes made since', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 30);
  const before = services.generation.artifact.fingerprint;
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  await activate(app, fingerprint);
  await services.generations.idle();
  await app.inject({ method: 'PUT', url: '/v1/items/written-since', payload: { hidden_states: demoStates(clip(40)) } });
  await app.inject({ method: 'DELETE', url: `/v1/items/${clip(2)}` });
  const back = await activate(app, before);
  assert.deepEqual([back.statusCode, back.json<Swap>().state], [200, 'active']);
  const ids = await idsOf(app);
  assert.deepEqual([ids.includes('written-since'), ids.includes(clip(2)), ids.length], [true, false, 29]);
  assert.equal((await recommend(app, [clip(1)])).json<{ model: Model }>().model.fingerprint, before);
});

test('a switch back that the store cannot remember is refused, and the model that serves goes on', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 5);
  const before = services.generation.artifact.fingerprint;
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  await activate(app, fingerprint);
  await services.generations.idle();
  const { setMeta } = services.store;
  services.store.setMeta = () => Promise.reject(new Error('no space'));
  assert.equal((await activate(app, before)).statusCode, 500);
  services.store.setMeta = setMeta;
  assert.equal((await recommend(app, [clip(1)])).json<{ model: Model }>().model.fingerprint, fingerprint);
  assert.equal((await activate(app, before)).statusCode, 200);
});

test('a model whose golden vectors do not hold is refused, and the one that serves goes on', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 5);
  const folder = await otherModel(t, { file: 'golden.safetensors', edit: (bytes) => bytes.writeFloatLE(1e6, bytes.length - 4) });
  const { fingerprint } = (await register(app, folder)).json<Model>();
  await activate(app, fingerprint);
  await services.generations.idle();
  const { swap, models: known } = await models(app);
  assert.equal(swap.state, 'failed');
  assert.match(swap.error ?? '', /golden output differs/);
  assert.deepEqual([known[0]?.active, known[1]?.state], [true, 'registered']);
  assert.equal((await idsOf(app)).length, 4);
  const put = await app.inject({ method: 'PUT', url: '/v1/items/a', payload: { hidden_states: demoStates(clip(9)) } });
  assert.equal(put.statusCode, 201);
});

test('a file that changes after the registration is named by the swap', async (t) => {
  const { app, services } = await build(t);
  const folder = await otherModel(t);
  const { fingerprint } = (await register(app, folder)).json<Model>();
  writeFileSync(join(folder, 'item_ids.txt'), 'x\n');
  await activate(app, fingerprint);
  await services.generations.idle();
  assert.match((await models(app)).swap.error ?? '', /item_ids\.txt/);
});

test('a model that can place too few of the items is refused, however well its index finds them', async (t) => {
  const { app, services } = await build(t);
  const items = Array.from({ length: 40 }, (_, n) => ({ item_id: clip(n + 1) })); // known by the rows of the ID table alone
  await app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items } });
  assert.equal(services.generation.catalogue.counts().searchable, 40);
  const rename = (bytes: Buffer): void => void bytes.write(bytes.toString().replaceAll('clip-', 'none-'));
  const { fingerprint } = (await register(app, await otherModel(t, { file: 'item_ids.txt', edit: rename }))).json<Model>();
  await activate(app, fingerprint);
  await services.generations.idle();
  const { swap } = await models(app);
  assert.deepEqual([swap.state, swap.error], ['failed', '0 items would be searchable, now there are 40; wanted are at least 0.9 of them']);
  assert.equal((await idsOf(app)).length, 39);
});

test('going back to the previous model ends a rebuild that is under way, even one that is about to switch', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 100);
  const { generations, store } = services;
  const before = services.generation.artifact.fingerprint;
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  await activate(app, fingerprint);
  await generations.idle();

  assert.equal(generations.rebuild()?.fingerprint, fingerprint);
  const back = await activate(app, before);
  assert.deepEqual([back.statusCode, back.json<Swap>().state], [200, 'active']);
  assert.equal((await recommend(app, [clip(1)])).json<{ model: Model }>().model.fingerprint, before);
  await generations.idle();
  assert.deepEqual([generations.current.artifact.fingerprint, generations.targets.length], [before, 2]);

  const { setMeta } = store;
  let late: ReturnType<typeof activate> | null = null;
  store.setMeta = (key, value) => {
    store.setMeta = setMeta;
    late = activate(app, fingerprint);
    return setMeta(key, value);
  };
  generations.rebuild();
  await generations.idle();
  const answered = await (late as unknown as ReturnType<typeof activate>); // made by the rebuild's own switch
  assert.equal(answered.statusCode, 200);
  assert.deepEqual([generations.current.artifact.fingerprint, generations.targets.length], [fingerprint, 2]);
  assert.deepEqual([store.meta('model_dir'), (await models(app)).swap.state], [generations.current.artifact.folder, 'active']);
  const put = await app.inject({ method: 'PUT', url: '/v1/items/a', payload: { hidden_states: demoStates(clip(200)) } });
  assert.equal(put.statusCode, 201);
});

test('a server that ends while it switches starts again with the model that served last', async (t) => {
  const dataDir = temporaryFolder(t);
  const { app, services, stop } = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(app, 20);
  const { generations, store } = services;
  const served = services.generation.artifact.fingerprint;
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  const { setMeta } = store;
  let ending: Promise<void> | null = null;
  store.setMeta = (key, value) => {
    store.setMeta = setMeta;
    ending = generations.close();
    return setMeta(key, value);
  };
  await activate(app, fingerprint);
  await generations.idle();
  await ending;
  assert.notEqual(ending, null);
  await stop();
  const again = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(again.services.generation.artifact.fingerprint, served);
});

test('what cannot be registered or activated is said', async (t) => {
  const { app, services } = await build(t);
  const problem = async (folder: string) => (await register(app, folder)).json<{ errors: { pointer: string; detail: string }[] }>().errors[0];
  assert.match((await problem(temporaryFolder(t)))?.detail ?? '', /model\.json cannot be read/);
  assert.deepEqual(await problem('relative'), { pointer: '/folder', detail: 'must be an absolute path' });
  assert.deepEqual([(await activate(app, 'nobody')).statusCode], [404]);
  const same = await activate(app, services.generation.artifact.fingerprint);
  assert.deepEqual([same.statusCode, same.json<Swap>().state], [200, 'active']);
});

test('a setting that names another model than last time wins over the one that was activated', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const other = await otherModel(t);
  const { fingerprint } = (await register(first.app, other)).json<Model>();
  const original = first.services.generation.artifact.fingerprint;
  await activate(first.app, fingerprint);
  await first.services.generations.idle();
  await first.stop();
  const copy = join(temporaryFolder(t), 'copy');
  cpSync(DEMO_ARTIFACT, copy, { recursive: true });
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: copy });
  assert.equal(second.services.generation.artifact.fingerprint, original);
});

test('a rebuilt index need only be as good as the one it replaces, another model is measured by the setting', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 100);
  const { generations, store } = services;
  const { users } = store;
  store.users = (...given) => {
    // asked for just before recall is measured: from here on both indexes find a half
    for (const { generation } of generations.targets) {
      const { search } = generation.pool;
      generation.pool.search = async (prepare) => {
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
  generations.rebuild();
  await generations.idle();
  assert.deepEqual([generations.swap?.state, generations.swap?.recall], ['active', 0.5]);
  assert.notEqual(generations.current, before);
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  await activate(app, fingerprint);
  await generations.idle();
  assert.equal((await models(app)).swap.error, 'recall@20 of the new index is 0.5000, wanted is at least 0.9');
});

test('a model that was asked for does not wait for a rebuild', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 50);
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  services.generations.rebuild();
  const [first, second] = await Promise.all([activate(app, fingerprint), activate(app, fingerprint)]);
  assert.deepEqual([first.statusCode, second.statusCode], [202, 409]);
  await services.generations.idle();
  assert.deepEqual([services.generation.artifact.fingerprint, services.generations.targets.length], [fingerprint, 2]);
});

test('a model that fails while it is being switched to is refused', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 5);
  const { generations, store } = services;
  const before = generations.current;
  const { fingerprint } = (await register(app, await otherModel(t))).json<Model>();
  const { setMeta } = store;
  store.setMeta = async (key, value) => {
    store.setMeta = setMeta;
    await setMeta(key, value);
    for (const target of generations.targets) if (target.generation !== before) target.failure = new Error('a thread has died');
  };
  await activate(app, fingerprint);
  await generations.idle();
  const { swap } = await models(app);
  assert.deepEqual([swap.state, swap.error, generations.current], ['failed', 'a thread has died', before]);
  assert.equal(store.meta('model_dir'), 'demo');
  assert.equal((await idsOf(app)).length, 4);
});
