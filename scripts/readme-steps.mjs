// Runs the README's commands, as they stand there, in a clone in an empty folder: the two commands with the first requests, then "Your own data" with
// the demo's clips and events as a stranger's files. Only step 1 is not run: it needs videos and the weights of a video model, so hidden states are brought.
// Minutes, most of them for installing. --python FOLDER takes `python` from there, where the package's requirements are, instead of installing them.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const URL_OF_README = 'http://127.0.0.1:8080';
const { python } = parseArgs({ options: { python: { type: 'string' } } }).values;
const folder = mkdtempSync(join(tmpdir(), 'reelfuse-readme-'));
const clone = join(folder, 'reelfuse');
const env = { ...process.env, ...(python !== undefined && { PATH: `${python}${delimiter}${process.env.PATH}`, PYTHONPATH: join(clone, 'models') }) };

/** Commands of a section: its indented lines, without what is set off by a comment. */
function commandsOf(title) {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const section = readme.split(/^## /m).find((text) => text.startsWith(title));
  if (section === undefined) throw new Error(`README.md has no section ${title}`);
  const lines = section.split('\n').filter((line) => /^ {4}/.test(line));
  return lines
    .map((line) => line.trim().replace(/ {2,}#.*$/, ''))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n');
}

function run(script) {
  process.stdout.write(`\n$ ${script.replaceAll('\n', '\n$ ')}\n`);
  const since = performance.now();
  const { status } = spawnSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: clone, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`ended with ${status}`);
  process.stdout.write(`(${((performance.now() - since) / 1000).toFixed(1)} s)\n`);
}

/** Runs a task while a command serves, then ends the command. */
async function beside(script, task) {
  process.stdout.write(`\n$ ${script.replaceAll('\n', '\n$ ')}\n`);
  const server = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: clone, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(server, 'exit');
  try {
    let said = '';
    for await (const text of server.stderr) {
      said += text;
      if (said.includes('is ready')) break;
    }
    if (!said.includes('is ready')) throw new Error(`not ready: ${said}`);
    server.stderr.resume();
    await task();
  } finally {
    process.kill(-server.pid, 'SIGTERM'); // the shell and what it has started
    await ended;
  }
}

async function call(method, path, body) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(URL_OF_README + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** The demo's clips and events in the formats that the README asks for. */
function writeOwnData() {
  copyFileSync(join(ROOT, 'models', 'demo', 'items.jsonl'), join(clone, 'items.jsonl'));
  copyFileSync(join(ROOT, 'models', 'demo', 'hidden_states.safetensors'), join(clone, 'features.safetensors'));
  const histories = new Map();
  const events = readFileSync(join(ROOT, 'models', 'demo', 'events.jsonl'), 'utf8')
    .trim()
    .split('\n');
  for (const { user_id: userId, item_id: itemId, type } of events.map((line) => JSON.parse(line)))
    if (type !== 'skip' && type !== 'impression')
      histories.set(userId, [...(histories.get(userId) ?? []).filter((known) => known !== itemId), itemId]);
  writeFileSync(join(clone, 'pairs.tsv'), Array.from(histories, ([user, items]) => `${user}\t${items.join(' ')}\n`).join(''));
  return [...histories.keys()][0];
}

try {
  const cloned = spawnSync('git', ['clone', '--quiet', ROOT, clone], { stdio: 'inherit' });
  if (cloned.status !== 0) throw new Error('no clone');
  const [start, tests] = commandsOf('Two commands');
  const requests = commandsOf('Two commands').slice(2).join('\n');
  if (tests !== 'npm ci && npm test') throw new Error(`the second command is ${tests}`); // .ci/run runs it
  await beside(start, () => run(`curl() { command curl --fail-with-body --silent --show-error "$@"; echo; }\n${requests}`)); // an error is one, here

  const user = writeOwnData();
  const own = commandsOf('Your own data').map((line) => line.replace('--features features', '--features features.safetensors'));
  const [install, extract, train, ...rest] = own;
  if (!extract.startsWith('python -m dff extract')) throw new Error(`step 1 is ${extract}`);
  if (python === undefined) run(install.replace('[extract]', ''));
  run(train);
  const settings = rest.filter((line) => line.startsWith('export ')).join('\n');
  const [load, serve] = rest.filter((line) => !line.startsWith('export '));
  run(`${settings}\n${load}`);
  await beside(`${settings}\nexec ${serve}`, async () => {
    const event = { event_id: 'e1', user_id: user, item_id: 'clip-0007', type: 'like', at: new Date().toISOString() };
    const put = await call('PUT', '/v1/items/brand-new', { title: 'Brand new', attributes: {} });
    const events = await call('POST', '/v1/events', { events: [event] });
    if (events.accepted !== 1) throw new Error(JSON.stringify(events)); // a duplicate: the demo's data folder
    const answer = await call('GET', `/v1/users/${user}/recommendations?k=20`);
    if (answer.items.length !== 20 || answer.fallback !== null) throw new Error(JSON.stringify(answer));
    process.stdout.write(`put: ${put.state}; event: ${JSON.stringify(events)}; ${answer.items.length} clips for ${user}\n`);
    run('node dist/src/main.js evaluate --interactions pairs.tsv');
  });
  process.stdout.write('\nevery command of the README ran\n');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
