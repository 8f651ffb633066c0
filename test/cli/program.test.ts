import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { WriteStream } from 'node:tty';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { createProgram } from '../../src/cli/program.js';
import { paint } from '../../src/cli/terminal.js';
import { build, clip, putClips } from '../build.js';
import { freePort } from '../free-port.js';
import { runCli } from './run.js';
import { temporaryFolder } from '../temporary-folder.js';

const ESCAPE = String.fromCharCode(27);

test('help teaches: every command has examples, and the exit codes are told', async () => {
  const top = await runCli(['--help']);
  assert.equal(top.code, 0);
  for (const [code, meaning] of EXIT_CODES) assert.match(top.stdout, new RegExp(`^ {2}${code} +${meaning.slice(0, 20)}`, 'm'));
  for (const command of createProgram(() => undefined).commands) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    assert.match(help, new RegExp(`^Examples:\\n.*\\breelfuse ${command.name()}\\b`, 'm'), command.name());
    assert.ok(top.stdout.includes(`  ${command.name()} `));
  }
});

test('wrong use ends with 2 and says what would be right', async () => {
  const unknown = await runCli(['improt']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /unknown command 'improt'\n\(Did you mean import\?\)/);
  const missing = await runCli(['backup']);
  assert.deepEqual([missing.code, missing.stdout], [2, '']);
  assert.match(missing.stderr, /required option '--to <folder>' not specified\n\(--help shows how it is used\)/);
  const nothing = await runCli(['import']);
  assert.deepEqual([nothing.code, nothing.stderr], [2, 'error: name --items, --history or both\n']);
  const setting = await runCli(['serve'], { REELFUSE_PROT: '1' });
  assert.equal(setting.code, 2);
  assert.match(setting.stderr, /^error: REELFUSE_PROT is not a setting/);
});

test('a server that does not answer, or refuses, ends with 3', async (t) => {
  const silent = await runCli(['report', '--url', `http://127.0.0.1:${await freePort()}`]);
  assert.equal(silent.code, 3);
  assert.match(silent.stderr, /^error: GET \/v1\/reports\/quality at http:.+ECONNREFUSED/);
  const { app } = await build(t, { REELFUSE_SERVED_DAYS: '0' });
  const refused = await runCli(['report', '--url', await app.listen({ host: '127.0.0.1', port: 0 })]);
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /409 served_log_off: REELFUSE_SERVED_DAYS is 0/);
  assert.equal((await runCli(['report', '--url', 'reels'])).code, 2);
  assert.equal((await runCli(['report', '--hours', 'many'])).code, 2);
});

test('backup and restore in their three voices', async (t) => {
  const folder = temporaryFolder(t);
  const dataDir = join(folder, 'data');
  const live = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(live.app, 3);
  await live.stop();
  const told = await runCli(['backup', '--to', join(folder, 'told')], { REELFUSE_DATA_DIR: dataDir });
  assert.equal(told.code, 0);
  assert.match(told.stdout, /^backed up to .+told: \d+ files, 1 models, .+ MiB\nreelfuse restore --from /);
  const asJson = await runCli(['backup', '--json', '--to', join(folder, 'json')], { REELFUSE_DATA_DIR: dataDir });
  assert.equal((JSON.parse(asJson.stdout) as { models: number }).models, 1);
  const quiet = await runCli(['restore', '--quiet', '--from', join(folder, 'told')], { REELFUSE_DATA_DIR: join(folder, 'restored') });
  assert.deepEqual(quiet, { code: 0, stdout: '', stderr: '' });
  assert.ok(existsSync(join(folder, 'restored', 'reelfuse.sqlite')));
  const again = await runCli(['restore', '--quiet', '--from', join(folder, 'told')], { REELFUSE_DATA_DIR: join(folder, 'restored') });
  assert.equal(again.code, 2);
  assert.match(again.stderr, /^error: .+restored is not empty/);
});

test('evaluate writes a table, one line of JSON, or a file', async (t) => {
  const { app } = await build(t);
  await putClips(app, 12);
  const folder = temporaryFolder(t);
  const file = join(folder, 'pairs.tsv');
  writeFileSync(file, `u1\t${[1, 2, 3, 4, 5].map(clip).join(' ')}\nu2\t${[6, 7, 8, 9, 10].map(clip).join(' ')}\n`);
  const given = ['evaluate', '--url', await app.listen({ host: '127.0.0.1', port: 0 }), '--interactions', file];
  const told = await runCli(given);
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stdout, /^2 users, 8 at once/);
  const asJson = await runCli([...given, '--json']);
  assert.equal((JSON.parse(asJson.stdout) as { users: number }).users, 2);
  const figures = join(folder, 'figures.json');
  assert.deepEqual(await runCli([...given, '--quiet', '--json', figures]), { code: 0, stdout: '', stderr: '' });
  assert.equal((JSON.parse(readFileSync(figures, 'utf8')) as { users: number }).users, 2);
  const nowhere = await runCli(['evaluate', '--url', 'http://127.0.0.1:9', '--interactions', file, '--json', join(folder, 'none', 'x.json')]);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /--json .*x\.json cannot be written/);
});

test('evaluate waits for a server that loads, takes no fallback answer for one of the model, and tells what no model can find', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'pairs.tsv');
  const unknown = ['x1', 'x2', 'x3', 'x4', clip(1)];
  const repeated = [1, 2, 3, 4, 1].map(clip);
  writeFileSync(file, `u1\t${unknown.join(' ')}\nu2\t${repeated.join(' ')}\n`);
  const dataDir = join(folder, 'data');
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 12);
  await first.stop();
  const built = await build(t, { REELFUSE_DATA_DIR: dataDir }, undefined, { load: false });
  const url = await built.app.listen({ host: '127.0.0.1', port: 0 });
  let polls = 0;
  built.app.server.prependListener('request', ({ url: path }: IncomingMessage) => {
    if (path === '/readyz' && ++polls === 1) setImmediate(() => void built.services.load());
  });
  const told = await runCli(['evaluate', '--url', url, '--interactions', file]);
  assert.equal(told.code, 0, told.stderr);
  assert.ok(polls > 1);
  assert.match(told.stderr, /waiting for the server to load its catalogue/);
  assert.match(told.stdout, /\ntargets that stand in the history too, and can never be found: 1\nhistories without an item .*: 1\n/);

  const starting = createHttpServer((request, response) => {
    const { url: path } = request;
    if (path === '/v1/models') response.end(JSON.stringify({ models: [{ active: true, fingerprint: 'f', version: '1' }] }));
    else response.end(JSON.stringify(path === '/readyz' ? { status: 'ready' } : { items: [], fallback: 'starting' }));
  });
  starting.listen(0, '127.0.0.1');
  t.after(() => starting.close());
  await once(starting, 'listening');
  const refused = await runCli([
    'evaluate',
    '--url',
    `http://127.0.0.1:${(starting.address() as AddressInfo).port}`,
    '--interactions',
    file,
    '--quiet',
  ]);
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /user u[12]: the server answered by its fallback ranking \(starting\)/);
});

test('what a command would not do as it is told is refused before it begins', async (t) => {
  const folder = temporaryFolder(t);
  const items = join(folder, 'items.jsonl');
  writeFileSync(items, '{"item_id":"a"}\n');
  const into = await runCli(['import', '--items', items, '--rejects', items], { REELFUSE_DATA_DIR: join(folder, 'data') });
  assert.deepEqual([into.code, readFileSync(items, 'utf8')], [2, '{"item_id":"a"}\n']);
  assert.match(into.stderr, /is a file that is read/);
  const path = await runCli(['report', '--url', 'http://127.0.0.1:1/prefix']);
  assert.equal(path.code, 2);
  assert.match(path.stderr, /--url must end after host and port, as http:\/\/127\.0\.0\.1:1/);
  const key = join(folder, 'key');
  writeFileSync(key, 'first-secret\nsecond-secret\n');
  const keys = await runCli(['report', '--url', 'http://127.0.0.1:1', '--api-key-file', key]);
  assert.equal(keys.code, 2);
  assert.equal(keys.stderr.includes('secret'), false);
});

test('colours are for terminals that want them', (t) => {
  const before = process.env;
  t.after(() => {
    process.env = before;
  });
  const stream = (isTTY: boolean): NodeJS.WriteStream => Object.assign(Object.create(WriteStream.prototype) as NodeJS.WriteStream, { isTTY });
  process.env = { TERM: 'xterm-256color' };
  assert.equal(paint(stream(true), 'red', 'no'), `${ESCAPE}[31mno${ESCAPE}[0m`);
  assert.equal(paint(stream(false), 'red', 'no'), 'no');
  process.env = { TERM: 'xterm-256color', NO_COLOR: '1' };
  assert.equal(paint(stream(true), 'red', 'no'), 'no');
});
