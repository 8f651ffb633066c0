import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { backUp, restoreBackup } from '../../src/catalog/backup.js';
import { build, clip, otherModel, putClips, temporaryFolder, view } from '../build.js';

test('a backup taken while writes run holds everything that was acknowledged before it, model and snapshots included', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const model = otherModel(t);
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_MODEL_DIR: model });
  await putClips(live.app, 30);
  await live.app.inject({ method: 'POST', url: '/v1/events', payload: { events: [view('e1', 'u', clip(3))] } });
  await live.app.inject({ method: 'POST', url: '/v1/snapshots' });
  const served = await live.app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'u', k: 5 } });
  const id = served.json<{ recommendation_id: string }>().recommendation_id;
  assert.equal((await live.app.inject(`/v1/recommendations/${id}`)).statusCode, 200);
  let written = 0;
  let isRunning = true;
  const writer = (async () => {
    while (isRunning) {
      const answer = await live.app.inject({ method: 'PUT', url: `/v1/items/during-${written}`, payload: { title: 'x' } });
      assert.equal(answer.statusCode, 201);
      written++;
    }
  })();
  const manifest = await backUp(dataDir, target);
  isRunning = false;
  await writer;
  assert.ok(manifest.files['reelfuse.sqlite'] !== undefined && manifest.model === live.services.generation.artifact.fingerprint);
  await live.stop();

  await restoreBackup(target, restored);
  const again = await build(t, { REELFUSE_DATA_DIR: restored, REELFUSE_MODEL_DIR: '' });
  assert.equal(again.services.generation.artifact.folder, join(restored, 'models', manifest.model));
  assert.ok((again.restored?.adopted ?? 0) >= 30);
  for (let n = 1; n <= 30; n++) assert.equal((await again.app.inject(`/v1/items/${clip(n)}`)).json<{ state: string }>().state, 'searchable');
  assert.equal((await again.app.inject('/v1/users/u/history')).json<{ items: unknown[] }>().items.length, 1);
  assert.equal((await again.app.inject(`/v1/recommendations/${id}`)).statusCode, 200);
  await assert.rejects(restoreBackup(target, restored), /in use by process|not empty/);
});

test('a file of the backup that was changed or is missing is named, and nothing is restored', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target] = [join(folder, 'data'), join(folder, 'backup')];
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  await backUp(dataDir, target);
  await assert.rejects(backUp(dataDir, target), /is not empty/);
  await assert.rejects(backUp(join(folder, 'nothing'), join(folder, 'b')), /holds no database/);
  const names = Object.keys((JSON.parse(readFileSync(join(target, 'backup.json'), 'utf8')) as { files: object }).files);
  assert.ok(names.includes('reelfuse.sqlite') && names.some((name) => name.startsWith('snapshots/')));
  for (const name of ['reelfuse.sqlite', names.find((entry) => entry.endsWith('vectors.f32')) ?? '']) {
    const damaged = join(folder, `damaged-${name.replaceAll('/', '-')}`);
    cpSync(target, damaged, { recursive: true });
    const bytes = readFileSync(join(damaged, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(damaged, name), bytes);
    await assert.rejects(restoreBackup(damaged, join(folder, 'never')), new RegExp(`${name} is not what was backed up`));
  }
  assert.ok(!existsSync(join(folder, 'never')));
  await assert.rejects(restoreBackup(dataDir, join(folder, 'never')), /is not a backup/);
  await assert.rejects(restoreBackup(target, dataDir), /is not empty/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('partial')),
    [],
  );
});
