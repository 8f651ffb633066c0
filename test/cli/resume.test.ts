import assert from 'node:assert/strict';
import Database from 'better-sqlite3';
import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { packageFile } from '../../src/package-root.js';
import { runCli, startCli } from './run.js';
import { temporaryFolder } from '../temporary-folder.js';

const ROWS = 10_000;
const BAD_ROW = 7;

interface Imported {
  files: { imported: number; resumed_after: number; rejected: number; complete: boolean; first_rejected: { row: number }[] }[];
  stopped_by: string | null;
}

function setUp(t: TestContext) {
  const folder = temporaryFolder(t);
  const items = join(folder, 'items.jsonl');
  const lines = Array.from({ length: ROWS }, (_, index) => (index + 1 === BAD_ROW ? '{"colour":1}' : `{"item_id":"i${index + 1}"}`));
  writeFileSync(items, lines.join('\n'));
  const rejects = join(folder, 'rejects.jsonl');
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir);
  const environment = { REELFUSE_DATA_DIR: dataDir };
  const file = join(dataDir, 'reelfuse.sqlite');
  /** Items that another process has written, or null where it has not come to that. */
  const stored = (): number | null => {
    if (!existsSync(file)) return null;
    const database = new Database(file, { readonly: true });
    try {
      return database.prepare<[], number>('SELECT COUNT(*) FROM items').pluck().get() ?? null;
    } catch {
      return null; // the table is not there yet
    } finally {
      database.close();
    }
  };
  /** Resolves when so many are there, or the process has ended. */
  const storedBy = async (child: ChildProcess, count: number): Promise<void> => {
    const ended = new AbortController();
    child.once('exit', () => ended.abort());
    try {
      for await (const _ of watch(dataDir, { signal: ended.signal })) if ((stored() ?? 0) >= count) return;
    } catch (error) {
      if (!ended.signal.aborted) throw error;
    }
  };
  return { args: ['import', '--json', '--items', items, '--rejects', rejects], environment, rejects, stored, storedBy };
}

test('an import that is killed goes on where it was: no row is lost, and what was refused before is still told', async (t) => {
  const { args, environment, rejects, stored, storedBy } = setUp(t);
  const child = startCli(args, environment);
  t.after(() => child.kill('SIGKILL'));
  await storedBy(child, 1000);
  child.kill('SIGKILL');
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'it was over before it could be killed');
  const before = stored() ?? 0;
  assert.ok(before >= 1000 && before < ROWS - 1, `${before} items were there`);

  const { code, stdout } = await runCli(args, environment);
  assert.equal(code, 1);
  const [file] = (JSON.parse(stdout) as Imported).files;
  assert.ok(file !== undefined && file.resumed_after >= 512, `went on after row ${file?.resumed_after}`);
  assert.deepEqual([file.imported, file.rejected, file.complete], [ROWS - file.resumed_after, 1, true]);
  assert.ok(file.resumed_after <= before + 1, 'nothing is skipped that was not written');
  assert.equal(stored(), ROWS - 1);
  const kept = readFileSync(rejects, 'utf8').trim().split('\n');
  assert.deepEqual(
    kept.map((line) => (JSON.parse(line) as { row: number }).row),
    [BAD_ROW],
  );

  const again = await runCli(args, environment);
  assert.deepEqual((JSON.parse(again.stdout) as Imported).files[0], { ...file, imported: 0, resumed_after: ROWS, first_rejected: [] });
  const restarted = await runCli([...args, '--restart'], environment);
  assert.equal((JSON.parse(restarted.stdout) as Imported).files[0]?.imported, ROWS - 1);
});

test('an import that is told to stop stops between two windows, says so, and goes on', async (t) => {
  const { args, environment, stored, storedBy } = setUp(t);
  const child = startCli(args, environment);
  t.after(() => child.kill('SIGKILL'));
  const printed = text(child.stdout as NodeJS.ReadableStream);
  await storedBy(child, 1000);
  child.kill('SIGINT');
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 130);
  const stopped = JSON.parse(await printed) as Imported;
  const [first] = stopped.files;
  assert.deepEqual([stopped.stopped_by, first?.complete], ['SIGINT', false]);
  const rest = await runCli(args, environment);
  const [second] = (JSON.parse(rest.stdout) as Imported).files;
  assert.equal(second?.resumed_after, (first?.imported ?? 0) + 1);
  assert.equal(stored(), ROWS - 1);
});

test('items that come with features now are not skipped because they came without them', async (t) => {
  const folder = temporaryFolder(t);
  const items = join(folder, 'items.jsonl');
  writeFileSync(items, '{"item_id":"clip-0001"}\n');
  const environment = { REELFUSE_DATA_DIR: join(folder, 'data') };
  const features = packageFile('models', 'demo', 'hidden_states.safetensors');
  const imported = async (...more: string[]): Promise<number | undefined> =>
    (JSON.parse((await runCli(['import', '--json', '--items', items, ...more], environment)).stdout) as Imported).files[0]?.imported;
  assert.deepEqual([await imported(), await imported(), await imported('--features', features)], [1, 0, 1]);
});
