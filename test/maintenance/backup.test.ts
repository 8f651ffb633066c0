import assert from 'node:assert/strict';
import fs, { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { backUpEmbedded, restoreEmbedded } from '../../src/composition/embedded-backup.js';
import { build, clip, otherModel, putClips, view } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

/** Calls before anything is copied. */
function onCopy(t: TestContext, before: (from: string) => void): void {
  const { cpSync: copy } = fs;
  t.mock.method(fs, 'cpSync', (...given: Parameters<typeof copy>) => {
    before(String(given[0]));
    copy(...given);
  });
  syncBuiltinESMExports(); // modules that import it by name
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

test('a backup taken while writes run holds everything that was acknowledged before it, model and snapshots included', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const model = await otherModel(t);
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: model });
  await putClips(live.app, 30);
  await live.api.sendEvents([view('e1', 'u', clip(3))]);
  await live.api.writeSnapshot();
  const served = await live.api.recommend({ user_id: 'u', k: 5 });
  const id = served.body.recommendation_id;
  assert.equal((await live.api.replayRecommendation(id)).status, 200);
  let written = 0;
  let isRunning = true;
  const writer = (async () => {
    while (isRunning) {
      const answer = await live.api.putItem(`during-${written}`, { title: 'x' });
      assert.equal(answer.status, 201);
      written++;
    }
  })();
  const manifest = await backUpEmbedded(dataDir, target);
  isRunning = false;
  await writer;
  assert.ok(manifest.files['reelfuse.sqlite'] !== undefined && manifest.model === live.services.generations.current.artifact.fingerprint);
  await live.stop();

  await restoreEmbedded(target, restored);
  const again = await build(t, { REELFUSE_DATA_DIR: restored, REELFUSE_MODEL_DIR: '' });
  assert.equal(again.services.generations.current.artifact.folder, join(restored, 'models', manifest.model));
  assert.ok((again.restored?.adopted ?? 0) >= 30);
  for (let n = 1; n <= 30; n++) assert.equal((await again.api.getItem(clip(n))).body.state, 'searchable');
  assert.equal((await again.api.getHistory('u')).body.items.length, 1);
  assert.equal((await again.api.replayRecommendation(id)).status, 200);
  await assert.rejects(restoreEmbedded(target, restored), /in use by process|not empty/);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await assert.rejects(backUpEmbedded(restored, file), { name: 'InputError', message: `${file} is not a folder` });
  await assert.rejects(restoreEmbedded(target, file), { name: 'InputError', message: `${file} is not a folder` });
});

test('a restored server can switch back: every registered model is kept, and one that is gone is named', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 20);
  const demo = live.services.generations.current.artifact.fingerprint;
  const register = async (model: string): Promise<string> => (await live.api.registerModel(model)).body.fingerprint;
  const gone = await otherModel(t, { file: 'item_ids.txt', edit: (bytes) => void bytes.write('CLIP') });
  const lost = await register(gone);
  rmSync(gone, { recursive: true });
  const other = await register(await otherModel(t));
  await live.api.activateModel(other);
  await live.services.generations.idle();
  await live.stop();
  const manifest = await backUpEmbedded(dataDir, target);
  assert.deepEqual([manifest.model, manifest.models], [other, [demo, other]]);
  assert.deepEqual(
    manifest.left_out.map(({ fingerprint }) => fingerprint),
    [lost],
  );
  assert.match(manifest.left_out[0]?.reason ?? '', /model\.json cannot be read/);
  await restoreEmbedded(target, restored);
  const again = await build(t, { REELFUSE_DATA_DIR: restored, REELFUSE_MODEL_DIR: '' });
  assert.equal(again.services.generations.current.artifact.fingerprint, other);
  const back = (await again.services.stores.models.list()).find(({ fingerprint }) => fingerprint === demo);
  assert.equal(back?.folder, join(restored, 'models', demo));
  await again.api.activateModel(demo);
  await again.services.generations.idle();
  assert.equal(again.services.generations.current.artifact.fingerprint, demo);
});

test('a folder that is there already is filled as it is, as a mount point must be', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  for (const place of [target, restored]) mkdirSync(join(place, 'lost+found'), { recursive: true });
  const inodes = (): number[] => [target, restored].map((place) => statSync(place).ino);
  const before = inodes();
  await backUpEmbedded(dataDir, target);
  await restoreEmbedded(target, restored);
  assert.deepEqual(inodes(), before);
  const again = await build(t, { REELFUSE_DATA_DIR: restored });
  assert.equal(again.restored?.adopted, 3);
});

test('while a folder is being restored no server can start on it; one that holds anything is left as it is', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  await backUpEmbedded(dataDir, target);
  let starts: Promise<unknown> | null = null;
  onCopy(t, () => {
    starts ??= assert.rejects(build(t, { REELFUSE_DATA_DIR: restored }), /in use by process/);
  });
  await restoreEmbedded(target, restored);
  await starts;
  assert.notEqual(starts, null);

  const taken = join(folder, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'precious'), 'x');
  await assert.rejects(restoreEmbedded(target, taken), /taken is not empty: it holds precious/);
  await assert.rejects(backUpEmbedded(dataDir, taken), /taken is not empty: it holds precious/);
  assert.deepEqual(readdirSync(taken), ['precious']);
});

test('a snapshot that is removed while it is copied is left out, and so is one that is half gone', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target] = [join(folder, 'data'), join(folder, 'backup')];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_SNAPSHOTS_KEPT: '9' });
  await putClips(live.app, 3);
  const made: string[] = [];
  for (let n = 0; n < 3; n++) made.push((await live.api.writeSnapshot()).body.name);
  const [oldest = '', middle = '', newest = ''] = made;
  rmSync(join(dataDir, 'snapshots', middle, 'graph.hnsw'));
  onCopy(t, (from) => {
    if (from.endsWith(oldest)) rmSync(from, { recursive: true });
  });
  const { files } = await backUpEmbedded(dataDir, target);
  const kept = new Set(Object.keys(files).flatMap((name) => (name.startsWith('snapshots/') ? [name.split('/')[1]] : [])));
  assert.deepEqual([...kept], [newest]);
});

test('a file of the backup that was changed or is missing is named, and nothing is restored', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target] = [join(folder, 'data'), join(folder, 'backup')];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  await backUpEmbedded(dataDir, target);
  await assert.rejects(backUpEmbedded(dataDir, target), /is not empty/);
  await assert.rejects(backUpEmbedded(join(folder, 'nothing'), join(folder, 'b')), /holds no database/);
  const names = Object.keys((JSON.parse(readFileSync(join(target, 'backup.json'), 'utf8')) as { files: object }).files);
  assert.ok(names.includes('reelfuse.sqlite') && names.some((name) => name.startsWith('snapshots/')));
  for (const name of ['reelfuse.sqlite', names.find((entry) => entry.endsWith('vectors.f32')) ?? '']) {
    const damaged = join(folder, `damaged-${name.replaceAll('/', '-')}`);
    cpSync(target, damaged, { recursive: true });
    const bytes = readFileSync(join(damaged, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(damaged, name), bytes);
    await assert.rejects(restoreEmbedded(damaged, join(folder, 'never')), new RegExp(`${name} is not what was backed up`));
  }
  assert.ok(!existsSync(join(folder, 'never')));
  await assert.rejects(restoreEmbedded(dataDir, join(folder, 'never')), /is not a backup/);
  await assert.rejects(restoreEmbedded(target, dataDir), /is not empty/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('partial')),
    [],
  );
});

test('a model behind links is in the backup with its files', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const model = await otherModel(t);
  const linked = join(folder, 'linked');
  mkdirSync(linked);
  for (const name of readdirSync(model)) symlinkSync(join(model, name), join(linked, name));
  symlinkSync(linked, join(folder, 'current'));
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: join(folder, 'current') });
  await putClips(live.app, 3);
  const { fingerprint } = live.services.generations.current.artifact;
  await live.stop();
  await backUpEmbedded(dataDir, target);
  await restoreEmbedded(target, restored);
  for (const gone of [model, linked]) rmSync(gone, { recursive: true });
  const again = await build(t, { REELFUSE_DATA_DIR: restored, REELFUSE_MODEL_DIR: '' });
  assert.equal(again.services.generations.current.artifact.fingerprint, fingerprint);
});

test('a backup and a restore that were killed are refused as they are, and completed by the same call', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  const leave = (place: string): void => {
    mkdirSync(join(place, '.partial', 'content'), { recursive: true });
    writeFileSync(join(place, '.partial', 'content', 'reelfuse.sqlite'), 'half');
    mkdirSync(join(place, 'models', 'of-the-killed-run'), { recursive: true });
  };
  leave(target);
  await assert.rejects(restoreEmbedded(target, restored), /is not a backup/);
  await backUpEmbedded(dataDir, target);
  leave(restored);
  await restoreEmbedded(target, restored);
  for (const place of [target, restored])
    assert.deepEqual([existsSync(join(place, '.partial')), existsSync(join(place, 'models/of-the-killed-run'))], [false, false]);
  const again = await build(t, { REELFUSE_DATA_DIR: restored });
  assert.equal((await again.api.getItem(clip(3))).status, 200);

  const foreign = join(folder, 'foreign');
  leave(foreign);
  writeFileSync(join(foreign, 'precious'), 'x');
  await assert.rejects(backUpEmbedded(dataDir, foreign), /foreign is not empty: it holds precious/);
  assert.ok(existsSync(join(foreign, 'models')));
});

test('a damaged database is named by a backup, which leaves nothing', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target] = [join(folder, 'data'), join(folder, 'backup')];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 30);
  await live.stop();
  truncateSync(join(dataDir, 'reelfuse.sqlite'), 20_000);
  await assert.rejects(backUpEmbedded(dataDir, target), /reelfuse\.sqlite is damaged: .+ reelfuse restore --from/);
  assert.deepEqual(readdirSync(target), []);
});
