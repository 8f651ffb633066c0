import assert from 'node:assert/strict';
import { spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { temporaryFolder } from '../temporary-folder.js';
import { startCli } from './run.js';

interface Started {
  child: ChildProcess;
  ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  /** Resolves when standard output or standard error has it. */
  says(text: string): Promise<string>;
}

/** @param under a program that starts it, with its arguments */
function start(t: TestContext, environment: Record<string, string> = {}, command = 'serve', under: readonly string[] = []): Started {
  const child = startCli(
    [command],
    {
      REELFUSE_DATA_DIR: join(temporaryFolder(t), 'data'),
      REELFUSE_PORT: '0',
      REELFUSE_EXECUTION_PROVIDERS: 'cpu',
      REELFUSE_RECOMMENDER_WORKERS: '1',
      ...environment,
    },
    {},
    under,
  );
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => {
      output += text.toString();
      for (const look of waiting) look();
    });
  const ended = once(child, 'exit') as Started['ended'];
  return {
    child,
    ended,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!output.includes(text)) return;
          waiting.delete(look);
          resolve(output);
        };
        waiting.add(look);
        look();
        void ended.then(() => reject(new Error(`it ended without ${text}: ${output}`)));
      }),
  };
}

const urlIn = (output: string): URL => new URL(/listens on (\S+)/.exec(output)?.[1] ?? '');

test('before the server listens a signal ends it at once', async (t) => {
  const { child, ended, says } = start(t);
  await says('model verified');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [null, 'SIGTERM']); // 143 in a shell
});

test('while the catalogue loads a signal ends the server in order', async (t) => {
  const { child, ended, says } = start(t);
  await says('listens on');
  child.kill('SIGINT');
  assert.deepEqual(await ended, [0, null]);
});

test('a signal that is passed on twice counts as one; a later one ends a server at once that waits for an open request', async (t) => {
  const { child, ended, says } = start(t);
  const { port, hostname } = urlIn(await says('is ready'));
  const caller = connect(Number(port), hostname);
  t.after(() => caller.destroy());
  caller.on('error', () => undefined); // the server has ended
  caller.write('POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n');
  await once(caller, 'data'); // the server reads the body now
  child.kill('SIGTERM');
  child.kill('SIGTERM');
  await says('stopping: ');
  assert.equal(child.exitCode ?? child.signalCode, null);
  const insisted = (async () => {
    while (child.exitCode === null && child.signalCode === null) {
      await pause(100);
      child.kill('SIGTERM');
    }
  })();
  assert.deepEqual(await ended, [null, 'SIGTERM']);
  await insisted;
});

test('without a terminal SIGHUP changes nothing, from the beginning', async (t) => {
  const { child, ended, says } = start(t);
  await says('model verified');
  child.kill('SIGHUP');
  const url = urlIn(await says('is ready'));
  await says('SIGHUP ignored');
  assert.equal((await fetch(new URL('/livez', url))).status, 200);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

test('a demo that is ended early leaves no folder behind', async (t) => {
  const folder = temporaryFolder(t);
  const { child, ended, says } = start(t, { TMPDIR: folder }, 'demo');
  await says('model verified');
  child.kill('SIGTERM');
  const [code] = await ended;
  assert.ok(code === 143 || code === 0, `ended with ${code}`); // 0: it has come to listen meanwhile
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('reelfuse')),
    [],
  );
});

const canUnshare = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;

test('the first process of a container obeys a signal too', { skip: !canUnshare }, async (t) => {
  const { child, ended, says } = start(t, {}, 'serve', ['unshare', '--pid', '--fork', '--mount-proc']);
  await says('is ready');
  process.kill(Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')), 'SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

test('systemd is told when the server is ready, and when it stops', async (t) => {
  const folder = temporaryFolder(t);
  const told = join(folder, 'told');
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  writeFileSync(join(programs, 'systemd-notify'), `#!/bin/sh\necho "$1" >> '${told}'\n`);
  chmodSync(join(programs, 'systemd-notify'), 0o755);
  const { child, ended, says } = start(t, { NOTIFY_SOCKET: join(folder, 'socket'), PATH: `${programs}:${process.env.PATH ?? ''}` });
  await says('listens on');
  await says('is ready');
  while (!existsSync(told) || readFileSync(told, 'utf8') === '') await pause(10); // the shell makes the file before it writes
  assert.equal(readFileSync(told, 'utf8'), 'READY=1\n');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  assert.equal(readFileSync(told, 'utf8'), 'READY=1\nSTOPPING=1\n');
});
