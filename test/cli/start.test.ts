import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, chownSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { backUpEmbedded, restoreEmbedded } from '../../src/composition/embedded-backup.js';
import { embeddedProbes } from '../../src/composition/embedded-probes.js';
import { examine } from '../../src/maintenance/doctor/doctor.js';
import { packageFile } from '../../src/package-root.js';
import { DEMO_ARTIFACT, build, demoStates, clip, putClips, suiteContext } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';
import { bare, runCli, type Ran } from './run.js';

const MAIN = packageFile('dist', 'src', 'main.js');
/** Nobody: permissions bind this user, but not root. */
const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
/** A start that must fail ends well within it; a start that hangs is ended. */
const LIMIT_MS = 30_000;

type Identity = { uid: number; gid: number } | Record<string, never>;
const nobody: Identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};

/** Whether permissions can be tried out: the other user must be able to run the program where it stands. */
function hasNobody(): boolean {
  try {
    execFileSync(process.execPath, [MAIN, '--version'], { ...nobody, stdio: 'ignore' });
    return process.platform !== 'win32';
  } catch {
    return false;
  }
}

const run = (command: 'serve' | 'doctor', environment: Record<string, string>, identity: Identity = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const env = bare({ REELFUSE_PORT: '0', REELFUSE_EXECUTION_PROVIDERS: 'cpu', REELFUSE_LOG_LEVEL: 'silent', ...environment });
    const args = command === 'doctor' ? [MAIN, 'doctor', '--quiet'] : [MAIN, 'serve'];
    const child = execFile(process.execPath, args, { env, timeout: LIMIT_MS, killSignal: 'SIGKILL', ...identity }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });

/** A start is refused in one line, by exit code 2, and doctor says the same words. */
async function refuses(environment: Record<string, string>, words: RegExp, identity: Identity = {}): Promise<void> {
  const { code, stderr } = await run('serve', environment, identity);
  assert.deepEqual([code, stderr.trimEnd().split('\n').length], [2, 1], stderr);
  assert.match(stderr, words);
  const [detail = '', ...advice] = stderr
    .replace(/^error: /, '')
    .trimEnd()
    .split('; ');
  const doctor = await run('doctor', environment, identity);
  assert.equal(doctor.code, 1);
  assert.ok(doctor.stdout.includes(detail), `${doctor.stdout} does not say ${detail}`);
  assert.ok(doctor.stdout.includes(`→ ${advice.join('; ')}`), `${doctor.stdout} does not advise ${advice.join('; ')}`);
}

describe('a start that cannot succeed', () => {
  const suite = suiteContext();
  let whole = '';
  before(async () => {
    whole = join(temporaryFolder(suite), 'whole');
    const { app, stop } = await build(suite, { REELFUSE_DATA_DIR: whole });
    await putClips(app, 3);
    await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { history: [clip(1)], k: 1 } });
    await stop();
    assert.deepEqual(readdirSync(whole).sort(), ['lock.sqlite', 'reelfuse.lock', 'reelfuse.sqlite', 'served', 'snapshots']);
  });

  /** A copy of a data folder with a database, a snapshot and a served log. */
  function copied(t: TestContext): string {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const dataDir = join(folder, 'data');
    cpSync(whole, dataDir, { recursive: true });
    return dataDir;
  }

  const served = (dataDir: string): string => join('served', readdirSync(join(dataDir, 'served'))[0] ?? '');
  for (const [what, pathOf] of [
    ['database', () => 'reelfuse.sqlite'],
    ['lock', () => 'lock.sqlite'],
    ['served log', served],
    ['folder of snapshots', () => 'snapshots'],
  ] as const)
    test(`the ${what} of another user: its path, its owner, and chown`, { skip: !hasNobody() }, async (t) => {
      const dataDir = copied(t);
      const path = join(dataDir, pathOf(dataDir));
      if (isRoot) {
        for (const name of ['', ...(readdirSync(dataDir, { recursive: true }) as string[])]) chownSync(join(dataDir, name), NOBODY, NOBODY);
        chownSync(path, 0, 0);
        await refuses(
          { REELFUSE_DATA_DIR: dataDir },
          new RegExp(`${path} (\\(and \\d more\\) )?belongs to user 0 .+; chown -R ${NOBODY} ${dataDir}$`, 'm'),
          nobody,
        );
        const asRoot = await examine(async () => embeddedProbes, { REELFUSE_DATA_DIR: dataDir, REELFUSE_PORT: '0' });
        assert.equal(asRoot.find(({ name }) => name === 'data files')?.status, 'warning'); // root could, the owner of the folder could not
      }
      chmodSync(path, what === 'folder of snapshots' ? 0o500 : 0o400);
      if (isRoot) chownSync(path, NOBODY, NOBODY);
      await refuses(
        { REELFUSE_DATA_DIR: dataDir },
        new RegExp(`${path} (\\(and \\d more\\) )?belongs to user \\d+ with mode [45]00 and .+; chmod -R u\\+rwX`),
        nobody,
      );
    });

  test('a data folder that is not writable', { skip: !hasNobody() }, async (t) => {
    const dataDir = copied(t);
    chmodSync(dataDir, 0o555);
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /data cannot be written to: EACCES.+; give it to user \d+/, nobody);
  });

  test('a setting that is wrong', async (t) => {
    await refuses(
      { REELFUSE_DATA_DIR: temporaryFolder(t), REELFUSE_PORT: '80a' },
      /REELFUSE_PORT must be a whole number, got "80a"; correct or unset it; /,
    );
  });

  test('a file where the data folder should be', async (t) => {
    const file = join(temporaryFolder(t), 'file');
    writeFileSync(file, '');
    await refuses({ REELFUSE_DATA_DIR: file }, /file is not a folder; set REELFUSE_DATA_DIR to a folder/);
  });

  test('a page of the database that is damaged', async (t) => {
    const dataDir = copied(t);
    const file = join(dataDir, 'reelfuse.sqlite');
    const database = new Database(file, { readonly: true });
    const page = database.prepare<[], number>(`SELECT rootpage FROM sqlite_master WHERE name = 'items'`).pluck().get() ?? 0;
    const size = database.pragma('page_size', { simple: true }) as number;
    database.close();
    const bytes = readFileSync(file);
    bytes.fill(0xff, (page - 1) * size, page * size);
    writeFileSync(file, bytes);
    const { code, stderr } = await run('serve', { REELFUSE_DATA_DIR: dataDir });
    assert.equal(code, 2);
    assert.match(stderr, /^error: .+reelfuse\.sqlite is damaged: database disk image is malformed; reelfuse restore --from .+\n$/);
    const doctor = await run('doctor', { REELFUSE_DATA_DIR: dataDir });
    assert.match(doctor.stdout, /^FAILED +database +.+reelfuse\.sqlite is damaged: .+\n +→ reelfuse restore --from /); // quick_check knows which page
  });

  test('a database that was cut off', async (t) => {
    const dataDir = copied(t);
    truncateSync(join(dataDir, 'reelfuse.sqlite'), 8192);
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /reelfuse\.sqlite is damaged: database disk image is malformed; reelfuse restore --from /);
  });

  test('a file that is no database', async (t) => {
    const dataDir = copied(t);
    writeFileSync(join(dataDir, 'reelfuse.sqlite'), 'a text, and no database'.repeat(1000));
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /reelfuse\.sqlite is damaged: file is not a database; reelfuse restore --from /);
    const backup = await runCli(['backup', '--to', join(temporaryFolder(t), 'backup')], { REELFUSE_DATA_DIR: dataDir });
    assert.equal(backup.code, 2);
    assert.match(backup.stderr, /^error: .+reelfuse\.sqlite is damaged: file is not a database; reelfuse restore --from .+\n$/);
  });

  test('a database of a newer version', async (t) => {
    const dataDir = copied(t);
    const database = new Database(join(dataDir, 'reelfuse.sqlite'));
    database.pragma('user_version = 900');
    database.close();
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /reelfuse\.sqlite is not for this version: .+ schema version 900, .+; install the newer version/);
  });

  test('a database that is gone or empty, where a server was: no empty catalogue is begun in its place', async (t) => {
    const dataDir = copied(t);
    truncateSync(join(dataDir, 'reelfuse.sqlite'), 0);
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /reelfuse\.sqlite is missing or empty, but snapshots and served of an earlier server are there; /);
    rmSync(join(dataDir, 'reelfuse.sqlite'));
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /reelfuse\.sqlite is missing or empty/);
  });

  test('a backup: a server would change what it holds', async (t) => {
    const folder = temporaryFolder(t);
    const server = await build(t, { REELFUSE_DATA_DIR: join(folder, 'data') });
    await putClips(server.app, 3);
    await server.stop();
    await backUpEmbedded(join(folder, 'data'), join(folder, 'backup'));
    const before = readdirSync(join(folder, 'backup'));
    await refuses({ REELFUSE_DATA_DIR: join(folder, 'backup') }, /backup is a backup/);
    assert.deepEqual(readdirSync(join(folder, 'backup')), before);
    await restoreEmbedded(join(folder, 'backup'), join(folder, 'restored'));
  });

  test('a folder where the system makes none', { skip: process.platform !== 'linux' }, async () => {
    await refuses({ REELFUSE_DATA_DIR: '/proc/none/data' }, /cannot be made: ENOENT/);
  });

  test('a restore that was killed', async (t) => {
    const dataDir = join(temporaryFolder(t), 'data');
    mkdirSync(join(dataDir, '.partial'), { recursive: true });
    cpSync(join(whole, 'snapshots'), join(dataDir, 'snapshots'), { recursive: true }); // moved up, the database was not
    await refuses({ REELFUSE_DATA_DIR: dataDir }, /data holds a restore that was not completed; empty the folder and run reelfuse restore again/);
  });

  test('a port that is taken, and an address of another machine', async (t) => {
    const other = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const { port } = other.address() as AddressInfo;
    const dataDir = join(temporaryFolder(t), 'data');
    await refuses(
      { REELFUSE_DATA_DIR: dataDir, REELFUSE_PORT: String(port) },
      /127\.0\.0\.1:\d+ is taken by another program; stop it, or set REELFUSE_PORT/,
    );
    await refuses(
      { REELFUSE_DATA_DIR: dataDir, REELFUSE_HOST: '192.0.2.1', REELFUSE_API_KEYS: 'long-secret:recommend' },
      /192\.0\.2\.1 is no address of this machine; set REELFUSE_HOST/,
    );
  });

  test('a model whose file is damaged or missing', async (t) => {
    const folder = temporaryFolder(t);
    const model = join(folder, 'artifact');
    cpSync(DEMO_ARTIFACT, model, { recursive: true });
    appendFileSync(join(model, 'user_tower.onnx'), 'x');
    const environment = { REELFUSE_DATA_DIR: join(folder, 'data'), REELFUSE_MODEL_DIR: model };
    await refuses(environment, /user_tower\.onnx has \d+ bytes, the manifest says \d+; copy the folder anew/);
    rmSync(join(model, 'user_tower.onnx'));
    await refuses(environment, /user_tower\.onnx is missing from .+; copy the folder anew/);
    await refuses({ ...environment, REELFUSE_MODEL_DIR: join(folder, 'nowhere') }, /model\.json cannot be read in .+nowhere.*; copy the folder anew/);
    await refuses({ ...environment, REELFUSE_MODEL_DIR: '', REELFUSE_REQUIRE_GPU: 'true' }, /REELFUSE_REQUIRE_GPU; see REELFUSE_EXECUTION_PROVIDERS/);
  });

  test('a catalogue that the memory limit cannot hold', async (t) => {
    const dataDir = copied(t);
    t.mock.method(process, 'constrainedMemory', () => 1000);
    await assert.rejects(build(t, { REELFUSE_DATA_DIR: dataDir }), {
      name: 'InputError',
      message:
        /^3 items with 1 replica of the graph take more than 1 MiB, this process may use 1 MiB; raise the limit, or set REELFUSE_RECOMMENDER_WORKERS/,
    });
    const checks = await examine(async () => embeddedProbes, {
      REELFUSE_DATA_DIR: dataDir,
      REELFUSE_PORT: '0',
      REELFUSE_RECOMMENDER_WORKERS: '1',
      REELFUSE_EXECUTION_PROVIDERS: 'cpu',
    });
    assert.match(checks.find(({ status }) => status === 'failed')?.detail ?? '', /^3 items with 1 replica of the graph take more than 1 MiB/);
    t.mock.restoreAll();
    const { api } = await build(t, { REELFUSE_DATA_DIR: dataDir }); // nothing of the refused start is left
    assert.equal((await api.putItem('another', { hidden_states: demoStates(clip(4)) })).status, 201);
  });
});
