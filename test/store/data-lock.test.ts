import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockDataDir } from '../../src/store/data-lock.js';
import { temporaryFolder } from '../temporary-folder.js';

const MODULE = new URL('../../src/store/data-lock.js', import.meta.url).href;

/** Another process that holds the folder until it is killed. */
async function holderOf(folder: string): Promise<ChildProcess> {
  const script = `const { lockDataDir } = await import(${JSON.stringify(MODULE)});
    const unlock = lockDataDir(${JSON.stringify(folder)});
    setInterval(() => unlock, 1000);
    process.stdout.write('locked');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

test('a folder that another process holds is refused, with its number; the lock ends with the process, however that ends', async (t) => {
  const folder = temporaryFolder(t);
  const child = await holderOf(folder);
  t.after(() => child.kill('SIGKILL'));
  assert.throws(() => lockDataDir(folder), new RegExp(`is in use by process ${child.pid} on .+; stop it first`));
  child.kill('SIGKILL');
  await once(child, 'exit');
  lockDataDir(folder)();
});

test('a lock file of a dead server is no obstacle, though its number belongs to a living process by now', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'reelfuse.lock');
  writeFileSync(file, String(process.ppid));
  const unlock = lockDataDir(folder);
  assert.equal(readFileSync(file, 'utf8'), `${process.pid} on ${hostname()}`);
  assert.throws(() => lockDataDir(folder), new RegExp(`is in use by process ${process.pid} on `));
  unlock();
});

test('within one process a folder is held once too, and can be taken again when it was given back', (t) => {
  const folder = join(temporaryFolder(t), 'made');
  const unlock = lockDataDir(folder);
  assert.throws(() => lockDataDir(folder), /is in use by process/);
  unlock();
  lockDataDir(folder)();
});

test('a folder that cannot be used is named with the reason', (t) => {
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, '');
  assert.throws(() => lockDataDir(file), /file cannot be used as REELFUSE_DATA_DIR: /);
  const folder = join(temporaryFolder(t), 'folder');
  mkdirSync(join(folder, 'lock.sqlite'), { recursive: true });
  assert.throws(() => lockDataDir(folder), /cannot be used as REELFUSE_DATA_DIR: /);
});
