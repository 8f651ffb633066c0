import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { build, clip, demoStates, otherModel, putClips, suiteContext, type Built } from '../build.js';
import { isLong } from '../long.js';
import { temporaryFolder } from '../temporary-folder.js';

const exact = async ({ api }: Built, history: string[]): Promise<[string, number][]> => {
  const answer = await api.recommend({ history, k: 200, exact: true });
  return answer.body.items.map(({ item_id: id, score }) => [id, score]);
};
const hnsw = async ({ api }: Built, history: string[]): Promise<string[]> => {
  const answer = await api.recommend({ history, k: 200 });
  return answer.body.items.map(({ item_id: id }) => id);
};
const snapshot = async ({ api }: Built): Promise<{ name: string; items: number; sequence: number }> => {
  const answer = await api.writeSnapshot();
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
};
const put = (built: Built, id: string, states: number, fields: object = {}) =>
  built.api.putItem(id, { ...fields, hidden_states: demoStates(clip(states)) });

/** As after kill -9: without the snapshot that an orderly end writes. */
const forgetShutdown = (dataDir: string, keep: string): void => {
  for (const name of readdirSync(join(dataDir, 'snapshots'))) if (name !== keep) rmSync(join(dataDir, 'snapshots', name), { recursive: true });
};

test('a restart adopts the snapshot and replays what was put, changed, deleted and patched since', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 80);
  await first.api.deleteItem(clip(3));
  const { name, items } = await snapshot(first);
  assert.equal(items, 79);
  await put(first, 'new', 200);
  await put(first, clip(5), 300); // another vector
  await first.api.patchItem(clip(6), { hidden: true });
  await first.api.deleteItem(clip(7));
  const before = await exact(first, [clip(1), clip(2)]);
  await first.stop();
  forgetShutdown(dataDir, name);

  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual(second.restored, { snapshot: name, adopted: 76, replayed: 3 });
  assert.deepEqual(await exact(second, [clip(1), clip(2)]), before);
  assert.deepEqual(new Set(await hnsw(second, [clip(1), clip(2)])), new Set(before.map(([id]) => id)));
  await put(second, 'newer', 400);
  assert.ok((await hnsw(second, [clip(1)])).includes('newer'));
});

test('after a restart requests that come together find the same as alone', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 400);
  const { name } = await snapshot(first);
  await first.stop();
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(second.restored?.snapshot, name);
  const ask = async (number: number, isExact: boolean): Promise<string[]> => {
    const payload = { history: [clip(number)], k: 5, exact: isExact };
    const answer = await second.api.recommend(payload);
    return answer.body.items.map(({ item_id: id }) => id);
  };
  const numbers = Array.from({ length: 16 }, (_, place) => place + 1);
  const together = await Promise.all(numbers.map((number) => ask(number, false)));
  let found = 0;
  for (const [place, number] of numbers.entries()) {
    const truth = new Set(await ask(number, true));
    found += (together[place] as string[]).filter((id) => truth.has(id)).length; // one a number
  }
  assert.ok(found >= 0.95 * 5 * numbers.length, `${found} of ${5 * numbers.length}`);
});

test('an item that is stored but could not be fused loses its old vector, and no restart brings it back', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 30);
  const { fuser } = first.services.generations.current;
  const { fuse } = fuser;
  fuser.fuse = () => Promise.reject(new Error('the fusing thread has died'));
  const payload = { hidden_states: demoStates(clip(300)) };
  const stored = await first.api.putItem(clip(5), payload, { query: 'wait=stored' });
  assert.equal(stored.status, 200);
  await first.services.ingest.settle();
  assert.ok(!(await hnsw(first, [clip(1)])).includes(clip(5)));
  fuser.fuse = fuse;
  await first.stop();

  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual([second.restored?.adopted, second.restored?.replayed], [29, 1]);
  const restored = await exact(second, [clip(1)]);
  assert.ok(restored.some(([id]) => id === clip(5)));
  await put(second, clip(5), 300);
  assert.deepEqual(await exact(second, [clip(1)]), restored);
});

test('an orderly end writes a snapshot when items have changed, and only then', async (t) => {
  const dataDir = temporaryFolder(t);
  const names = (): string[] => readdirSync(join(dataDir, 'snapshots')).sort();
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 10);
  await first.stop();
  const written = names();
  assert.equal(written.length, 1);
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(second.restored?.adopted, 10);
  await second.api.recommendForUser('nobody');
  await second.stop();
  assert.deepEqual(names(), written);
});

test('the newest are kept, as many as the setting says', async (t) => {
  const built = await build(t, { REELFUSE_SNAPSHOTS_KEPT: '2' });
  await putClips(built.app, 3);
  const made = [await snapshot(built), await snapshot(built), await snapshot(built)].map(({ name }) => name);
  const listed = (await built.api.listSnapshots()).body.snapshots.map(({ name }) => name);
  assert.deepEqual(listed, [made[2], made[1]]);
  const metrics = await built.api.metrics();
  assert.match(metrics, /reelfuse_snapshot_age_seconds \d/);
  assert.match(metrics, /reelfuse_snapshots_total\{outcome="written"\} 3/);
});

describe('a snapshot that is damaged', () => {
  const suite = suiteContext();
  let [prepared, older, newest] = ['', '', ''];
  before(async () => {
    prepared = temporaryFolder(suite);
    const first = await build(suite, { REELFUSE_DATA_DIR: prepared });
    await putClips(first.app, 20);
    older = (await snapshot(first)).name;
    await put(first, 'later', 100);
    await first.stop();
    newest = readdirSync(join(prepared, 'snapshots')).find((name) => name !== older) ?? '';
  });

  for (const file of ['graph.hnsw', 'vectors.f32', 'ids.txt', 'id_shares.f32', 'indexed.i32', 'snapshot.json']) {
    test(`a snapshot with a torn ${file} is set aside; the one before it is taken`, async (t) => {
      const dataDir = temporaryFolder(t);
      cpSync(prepared, dataDir, { recursive: true });
      const path = join(dataDir, 'snapshots', newest, file);
      const bytes = readFileSync(path);
      writeFileSync(path, bytes.subarray(0, bytes.length >> 1));

      const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
      assert.deepEqual(second.restored, { snapshot: older, adopted: 20, replayed: 1 });
      assert.ok((await hnsw(second, [clip(1)])).includes('later'));
      assert.ok(readdirSync(join(dataDir, 'snapshots')).includes(`.damaged-${newest}`));
    });
  }
});

test('a snapshot that is whole but newer than the store, or of another model, is not used', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 5);
  const { name, sequence } = await snapshot(first);
  await first.stop();
  const path = join(dataDir, 'snapshots', name, 'snapshot.json');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace(`"sequence":${sequence}`, `"sequence":${sequence + 1000}`));
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.equal(second.restored, null);
  await second.stop();

  const third = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: await otherModel(t) });
  assert.equal(third.restored, null);
  assert.equal((await hnsw(third, [clip(1)])).length, 4);
});

test('a snapshot that cannot be written says so and leaves nothing half done', async (t) => {
  const built = await build(t);
  await putClips(built.app, 5);
  rmSync(join(built.dataDir, 'snapshots'), { recursive: true, force: true });
  writeFileSync(join(built.dataDir, 'snapshots'), 'in the way');
  const answer = await built.api.writeSnapshot();
  assert.equal(answer.status, 503);
  assert.equal(answer.problem.code, 'snapshot_failed');
  assert.equal((await hnsw(built, [clip(1)])).length, 4);
  rmSync(join(built.dataDir, 'snapshots'));
  await snapshot(built);
});

test('a rebuild of the serving model frees the slots of what was deleted and goes on serving', async (t) => {
  const built = await build(t);
  await putClips(built.app, 60);
  for (let n = 1; n <= 40; n++) await built.api.deleteItem(clip(n));
  const { generations } = built.services;
  const old = built.services.generation;
  assert.equal(old.table.slots.free, 40);
  const before = await exact(built, [clip(50)]);
  assert.equal((await generations.rebuild())?.fingerprint, old.artifact.fingerprint);
  await put(built, 'meanwhile', 100);
  await generations.idle();
  assert.equal(generations.swap?.state, 'active');
  assert.notEqual(generations.current, old);
  assert.equal(generations.standby, null);
  assert.ok(built.services.generation.table.slots.free <= 1);
  const after = await exact(built, [clip(50)]);
  assert.deepEqual(
    after.filter(([id]) => id !== 'meanwhile'),
    before,
  );
  assert.equal(after.length, before.length + 1);
});

test('a snapshot is written of an index that was built anew, though no item has changed', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 30);
  for (let n = 1; n <= 10; n++) await first.api.deleteItem(clip(n));
  const before = await snapshot(first);
  await first.services.generations.rebuild();
  await first.services.generations.idle();
  first.services.generations.current.firstRecalls = [1, 0.95];
  await first.stop();
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.notEqual(second.restored?.snapshot, before.name);
  const { table, firstRecalls } = second.services.generation;
  assert.deepEqual([second.restored?.adopted, table.slots.count, table.membership.deadNodes], [20, 20, 0]);
  assert.deepEqual(firstRecalls, [1, 0.95]);
});

test('slots of a damaged snapshot are given to the items that are then read from the store', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 40);
  await first.stop();
  for (const name of readdirSync(join(dataDir, 'snapshots'))) writeFileSync(join(dataDir, 'snapshots', name, 'graph.hnsw'), 'torn');
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const { table } = second.services.generation;
  assert.deepEqual([second.restored, table.size, table.slots.count, table.slots.free], [null, 40, 40, 0]);
  assert.equal((await hnsw(second, [clip(1)])).length, 39);
});

test('what the store has beyond a snapshot and cannot be fused ends the start; the snapshot is not to blame', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 5);
  const { name } = await snapshot(first);
  first.services.generations.current.fuser.fuse = () => Promise.reject(new Error('the fusing thread has died'));
  await first.api.putItem(clip(9), { hidden_states: demoStates(clip(9)) }, { query: 'wait=stored' });
  await first.stop();
  forgetShutdown(dataDir, name);
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir }, systemClock, { load: false });
  second.services.generations.current.fuser.fuse = () => Promise.reject(new Error('the fusing thread has died'));
  await assert.rejects(second.services.load(), /has died/);
  assert.ok(readdirSync(join(dataDir, 'snapshots')).includes(name));
});

test('a server that is ended while it loads does not load the rest, and the next start has everything', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 5);
  await first.stop();
  rmSync(join(dataDir, 'snapshots'), { recursive: true });
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir }, systemClock, { load: false });
  await assert.rejects(second.services.load(AbortSignal.abort()), { name: 'AbortError' });
  assert.equal(second.services.generation.table.size, 0);
  await second.stop();
  const third = await build(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual([third.restored, third.services.generation.table.size], [null, 5]);
});

test('rebuilds under load fail no request: what has begun on the old generation ends on it', async (t) => {
  const built = await build(t);
  await putClips(built.app, 200);
  const { generations } = built.services;
  let isRebuilding = true;
  const statuses = new Set<number>();
  const client = async (n: number): Promise<void> => {
    const payload = { history: [clip(n + 1), clip(n + 50)], k: 50, exact: n % 2 === 0, explain: n % 4 === 0 };
    while (isRebuilding) statuses.add((await built.api.recommend(payload)).status);
  };
  const clients = Promise.all(Array.from({ length: isLong ? 16 : 4 }, (_, n) => client(n)));
  for (let round = 0; round < (isLong ? 5 : 2); round++) {
    assert.notEqual(generations.rebuild(), null);
    await generations.idle();
    assert.equal(generations.swap?.error, null);
  }
  isRebuilding = false;
  await clients;
  assert.deepEqual([...statuses], [200]);
});
