import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { DATABASE_FILE } from '../../src/store/sqlite/database.js';
import { runCli } from '../cli/run.js';
import { build, clip, putClips } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

function change(dataDir: string, sql: string): void {
  const database = new Database(join(dataDir, DATABASE_FILE));
  database.exec(sql);
  database.close();
}

test('a server starts over damaged rows: vectors are made again, and it says what is lost until it is sent again', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_SNAPSHOT_MINUTES: '0' });
  await putClips(first.app, 30);
  const before = (await first.api.recommend({ history: [clip(1)], k: 30, exact: true })).body.items;
  await first.stop();
  change(dataDir, `UPDATE vectors SET vector = zeroblob(length(vector)) WHERE item_id IN ('${clip(2)}', '${clip(3)}')`);
  change(dataDir, `UPDATE hidden_states SET data = zeroblob(length(data)) WHERE item_id = '${clip(3)}'`);
  change(dataDir, `UPDATE items SET attributes = 'x' WHERE item_id = '${clip(4)}'`);
  const doctor = await runCli(['doctor'], { REELFUSE_DATA_DIR: dataDir, REELFUSE_PORT: '0', REELFUSE_EXECUTION_PROVIDERS: 'cpu' });
  assert.match(doctor.stdout, /database .*4 damaged rows: items of "clip-0004", hidden_states of "clip-0003", vectors of "clip-0002", /);

  // without the snapshot, so that the vectors are read from the store
  const { api, services, app } = await build(t, { REELFUSE_DATA_DIR: dataDir, REELFUSE_HNSW_M: '8' });
  const now = (await api.recommend({ history: [clip(1)], k: 30, exact: true })).body.items;
  const scores = new Map(now.map(({ item_id: id, score }) => [id, score]));
  for (const { item_id: id, score } of before) {
    if (id === clip(4)) assert.equal(scores.get(id), undefined);
    else if (id === clip(3))
      assert.notEqual(scores.get(id), score); // placed by its ID alone
    else assert.ok(Math.abs((scores.get(id) ?? NaN) - score) < 1e-5, `${id} ${scores.get(id)} ${score}`);
  }
  const ready = (await app.inject('/readyz')).json<{ status: string; degraded: { reason: string; detail: string; since: string }[] }>();
  assert.deepEqual([ready.status, ready.degraded.map(({ reason }) => reason)], ['degraded', ['damaged']]);
  const one = await app.inject(`/v1/items/${clip(4)}`);
  assert.deepEqual([one.statusCode, one.json<{ code: string }>().code], [500, 'damaged']);
  assert.match((await app.inject('/metrics')).payload, /^reelfuse_storage_degraded\{fault="damaged"\} 1$/m);

  await putClips(app, 30);
  await services.heal();
  assert.deepEqual((await app.inject('/readyz')).json<object>(), { status: 'ready', items: 30 });
  const again = (await api.recommend({ history: [clip(1)], k: 30, exact: true })).body.items;
  assert.deepEqual(
    again.map(({ item_id: id }) => id),
    before.map(({ item_id: id }) => id),
  );
});
