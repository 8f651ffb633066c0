import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs, { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { embeddedProbes } from '../../src/composition/embedded-probes.js';
import type { Check } from '../../src/maintenance/doctor/check.js';
import { checkDataFolder, checkDiskSpace } from '../../src/maintenance/doctor/data-folder.js';
import { checkNode, examine } from '../../src/maintenance/doctor/doctor.js';
import { PACKAGE_ROOT, packageFile } from '../../src/package-root.js';
import { DEMO_ARTIFACT, build, putClips } from '../build.js';
import { runCli } from '../cli/run.js';
import { temporaryFolder } from '../temporary-folder.js';

const named = (checks: readonly Check[], name: string): Check => {
  const found = checks.find((check) => check.name === name);
  assert.ok(found, `there is no check ${name}`);
  return found;
};

/** Looks with these settings. @returns the checks, and the names of those that failed */
async function look(t: TestContext, environment: Record<string, string>): Promise<{ checks: Check[]; bad: string[] }> {
  const checks = await examine(async () => embeddedProbes, {
    REELFUSE_DATA_DIR: join(temporaryFolder(t), 'data'),
    REELFUSE_PORT: '0',
    REELFUSE_EXECUTION_PROVIDERS: 'cpu',
    ...environment,
  });
  for (const { name, status, advice } of checks)
    assert.equal(advice !== null, status === 'failed' || status === 'warning', `${name} says what to do`);
  return { checks, bad: checks.filter(({ status }) => status === 'failed').map(({ name }) => name) };
}

test('a machine that has all it needs is told so, with exit code 0, and nothing is left behind', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const environment = { REELFUSE_DATA_DIR: dataDir, REELFUSE_PORT: '0', REELFUSE_EXECUTION_PROVIDERS: 'cpu' };
  const { code, stdout, stderr } = await runCli(['doctor'], environment);
  assert.deepEqual([code, stderr], [0, ''], stdout);
  assert.match(stdout, /^ok +model engines +golden vectors hold: item tower on cpu, user tower on cpu in int8$/m);
  assert.match(stdout, /^ok +settings +REELFUSE_DATA_DIR, REELFUSE_EXECUTION_PROVIDERS, REELFUSE_PORT; the others have their defaults$/m);
  assert.match(stdout, /\na start has all it needs(; 1 to be thought about)?\n$/); // the disk may be small
  assert.equal(existsSync(dataDir), false);
  const asJson = await runCli(['doctor', '--json'], environment);
  const told = JSON.parse(asJson.stdout) as { ok: boolean; checks: Check[] };
  assert.equal(told.ok, true);
  assert.deepEqual(
    told.checks.map(({ name }) => name),
    [
      ...['node', 'better-sqlite3', 'hnswlib-node', 'onnxruntime-node', 'settings', 'data folder', 'disk space', 'port'],
      ...['data files', 'data lock', 'database', 'model files', 'memory', 'model engines'],
    ],
  );
});

test('a wrong setting is named; what it does not touch is looked at all the same', async (t) => {
  const { code, stdout } = await runCli(['doctor', '--quiet'], { REELFUSE_DATA_DIR: temporaryFolder(t), REELFUSE_PORT: '80a' });
  assert.equal(code, 1);
  assert.match(stdout, /^FAILED +settings +REELFUSE_PORT must be a whole number, got "80a"\n +→ correct or unset it/);
  const { checks, bad } = await look(t, { REELFUSE_PROT: '1' });
  assert.deepEqual(bad, ['settings']);
  assert.equal(named(checks, 'hnswlib-node').status, 'ok');
  assert.equal(named(checks, 'port').status, 'skipped');
});

test('a damaged artifact is found by its digest, a missing one by its folder', async (t) => {
  const model = join(temporaryFolder(t), 'artifact');
  cpSync(DEMO_ARTIFACT, model, { recursive: true });
  const file = join(model, 'user_tower.onnx');
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const damaged = await look(t, { REELFUSE_MODEL_DIR: model });
  assert.deepEqual(damaged.bad, ['model files']);
  assert.match(named(damaged.checks, 'model files').detail, /^user_tower\.onnx has SHA-256 \w+, the manifest says/);
  assert.equal(named(damaged.checks, 'model engines').detail, 'not looked at: model files first');
  rmSync(model, { recursive: true });
  assert.match(named((await look(t, { REELFUSE_MODEL_DIR: model })).checks, 'model files').detail, /^model\.json cannot be read in /);
});

test('a port that is taken: by another program, by a server like this, or not ours to take', async (t) => {
  const other = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const foreign = await look(t, { REELFUSE_PORT: String((other.address() as AddressInfo).port) });
  assert.deepEqual(foreign.bad, ['port']);
  assert.match(named(foreign.checks, 'port').detail, /^127\.0\.0\.1:\d+ is taken by another program$/);
  const { app } = await build(t);
  const ours = await look(t, { REELFUSE_PORT: new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port });
  assert.match(named(ours.checks, 'port').detail, /is taken by a reelfuse server$/);
  const nowhere = await look(t, { REELFUSE_HOST: '192.0.2.1', REELFUSE_API_KEYS: 'long-secret:recommend' });
  assert.deepEqual(nowhere.bad, ['port']);
  assert.match(named(nowhere.checks, 'port').detail, /^192\.0\.2\.1 is no address of this machine$/);
});

test('a data folder that cannot be used is refused before anything is tried in it', async (t) => {
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, '');
  const { checks, bad } = await look(t, { REELFUSE_DATA_DIR: join(file, 'data') });
  assert.deepEqual(bad, ['data folder']);
  assert.match(named(checks, 'data folder').detail, /file is not a folder$/);
  assert.equal(named(checks, 'database').status, 'skipped');
});

test('a data folder of somebody else is not writable', { skip: process.platform === 'win32' }, (t) => {
  const folder = join(temporaryFolder(t), 'folder');
  mkdirSync(folder);
  chmodSync(folder, 0o555);
  const { seteuid, geteuid } = process;
  const isRoot = geteuid?.() === 0;
  // permissions do not bind root
  if (isRoot) {
    chmodSync(join(folder, '..'), 0o755);
    seteuid?.call(process, 65534);
  }
  const found = [folder, join(folder, 'new')].map(checkDataFolder);
  if (isRoot) seteuid?.call(process, 0);
  assert.deepEqual(
    found.map(({ status }) => status),
    ['failed', 'failed'],
  );
  assert.match(found[0]?.detail ?? '', /folder cannot be written to: EACCES/);
  assert.match(found[1]?.detail ?? '', /new cannot be made: EACCES/);
});

test('a disk that is nearly full is told before it is', (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'reelfuse.sqlite'), Buffer.alloc(1024));
  let free = 0;
  t.mock.method(fs, 'statfsSync', () => ({ bavail: free / 4096, bsize: 4096 }));
  syncBuiltinESMExports(); // modules that import it by name
  const withFree = (bytes: number): Check => {
    free = bytes;
    return checkDiskSpace(folder);
  };
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  assert.deepEqual([withFree(2 ** 31).status, withFree(2 ** 29).status, withFree(2 ** 25).status], ['ok', 'warning', 'failed']);
  assert.equal(withFree(2 ** 25).detail, '32.0 MiB free, the data folder has 0.0 MiB');
});

test('a data folder that a server has is told with its process, and its database and model are looked at all the same', async (t) => {
  const { app, dataDir } = await build(t);
  await putClips(app, 3);
  const { checks, bad } = await look(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual(bad, ['data lock']);
  assert.match(named(checks, 'data lock').detail, new RegExp(`is in use by process ${process.pid} on `));
  assert.match(named(checks, 'database').detail, /^3 items, 0 events, schema version \d+$/);
  assert.match(named(checks, 'model engines').detail, /^golden vectors hold/);
});

test('a damaged database is found, and not touched', async (t) => {
  const { app, dataDir, stop } = await build(t);
  await putClips(app, 3);
  await stop();
  const file = join(dataDir, 'reelfuse.sqlite');
  writeFileSync(file, Buffer.concat([Buffer.from('not SQLite'), readFileSync(file).subarray(10)]));
  const before = readFileSync(file);
  const { checks, bad } = await look(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual(bad, ['database']);
  assert.match(named(checks, 'database').detail, /file is not a database/);
  assert.equal(named(checks, 'model files').status, 'skipped');
  assert.ok(readFileSync(file).equals(before));
});

test('a model that only a GPU may run is refused where there is none', async (t) => {
  const { checks, bad } = await look(t, { REELFUSE_REQUIRE_GPU: 'true' });
  assert.deepEqual(bad, ['model engines']);
  assert.match(named(checks, 'model engines').detail, /cpu: refused by REELFUSE_REQUIRE_GPU/);
});

test('where native parts are missing or damaged, help and doctor still work, and the other commands point to doctor', async (t) => {
  const copy = temporaryFolder(t);
  for (const name of ['package.json', 'migrations', 'models']) symlinkSync(packageFile(name), join(copy, name));
  mkdirSync(join(copy, 'dist'));
  cpSync(packageFile('dist', 'src'), join(copy, 'dist', 'src'), { recursive: true });
  const modules = join(copy, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(PACKAGE_ROOT, 'node_modules')))
    if (!['hnswlib-node', 'better-sqlite3', '.bin', '.package-lock.json'].includes(name))
      symlinkSync(join(PACKAGE_ROOT, 'node_modules', name), join(modules, name));
  const sqlite = join(modules, 'better-sqlite3');
  cpSync(join(PACKAGE_ROOT, 'node_modules', 'better-sqlite3'), sqlite, {
    recursive: true,
    filter: (from) => !/better-sqlite3\/(deps|src|build\/(?!Release$|Release\/better_sqlite3\.node$))/.test(from),
  });
  writeFileSync(join(sqlite, 'build', 'Release', 'better_sqlite3.node'), 'for another machine');

  const main = join(copy, 'dist', 'src', 'main.js');
  const environment = { REELFUSE_DATA_DIR: join(copy, 'data'), REELFUSE_PORT: '0' };
  const { code, stdout } = await runCli(['doctor', '--json'], environment, main);
  assert.equal(code, 1);
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  assert.match(named(checks, 'hnswlib-node').detail, /^does not load for Node v\d.+: Cannot find package 'hnswlib-node'/);
  assert.match(named(checks, 'better-sqlite3').detail, /^does not load for Node v\d.+better_sqlite3\.node: /);
  assert.match(named(checks, 'better-sqlite3').advice ?? '', /^npm rebuild better-sqlite3/);
  assert.equal(named(checks, 'onnxruntime-node').status, 'ok');
  assert.equal(named(checks, 'model engines').detail, 'not looked at: native parts first');
  assert.equal((await runCli(['--help'], environment, main)).code, 0);
  const refused = async (words: RegExp): Promise<void> => {
    const serve = await runCli(['serve'], { ...environment, REELFUSE_LOG_LEVEL: 'silent' }, main);
    assert.equal(serve.code, 70);
    assert.match(serve.stderr, words);
  };
  await refused(/^error: better-sqlite3 does not load for Node v.+; npm rebuild better-sqlite3 .+\n$/);
  rmSync(sqlite, { recursive: true });
  symlinkSync(join(PACKAGE_ROOT, 'node_modules', 'better-sqlite3'), sqlite);
  await refused(/^error: hnswlib-node does not load for Node v.+; HNSWLIB_MARCH=portable npm rebuild hnswlib-node .+\n$/);
});

test('doctor changes nothing in a data folder that no process has had yet', async (t) => {
  const dataDir = temporaryFolder(t);
  const { bad } = await look(t, { REELFUSE_DATA_DIR: dataDir });
  assert.deepEqual([bad, readdirSync(dataDir)], [[], []]);
});

test('an old Node is told before anything else can fail on it', () => {
  assert.deepEqual([checkNode('v18.20.4').status, checkNode('v18.20.4').detail], ['failed', 'v18.20.4 is older than 20.18.1']);
  assert.deepEqual(
    ['v20.9.0', 'v20.18.0', 'v20.18.1', 'v22.0.0'].map((version) => checkNode(version).status),
    ['failed', 'failed', 'ok', 'ok'],
  );
  assert.equal(checkNode('v24.1.0').status, 'ok');
});
