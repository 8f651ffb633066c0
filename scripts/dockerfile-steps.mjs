// Proves the Dockerfile where no container engine is at hand (Linux, root): runs each step of a target in a clean root
// folder of its own mount namespace, copies only what .dockerignore lets through, then starts the image's command as its user
// on a read-only root, waits for its health check, asks for a recommendation and stops it. Of the base images nothing is
// used but their place: programs and libraries are this machine's.
//
//   node scripts/dockerfile-steps.mjs [--target cpu] [--modules node_modules]
//
// --modules takes an installed folder instead of running `npm ci`, which compiles for minutes.
import ignore from '@balena/dockerignore';
import { DockerfileParser } from 'dockerfile-ast';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CONTEXT = fileURLToPath(new URL('..', import.meta.url));
const { target, modules } = parseArgs({ options: { target: { type: 'string', default: 'cpu' }, modules: { type: 'string' } } }).values;
const work = mkdtempSync(join(tmpdir(), 'reelfuse-image-'));
const started = performance.now();
const say = (text) => process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)}s  ${text}\n`);

/** `$NAME` and `${NAME}` of ARG and ENV. */
const expand = (text, values) => text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced, bare) => values[braced ?? bare] ?? '');
const parsePairs = (instruction) => instruction.getProperties().map((property) => [property.getName(), property.getValue() ?? '']);
/** `["program", "argument"]`, which may follow flags and a word. */
const commandOf = (instruction) => JSON.parse(/\[.*\]$/.exec(instruction.getRawArgumentsContent())[0]);

/** Stages in order: name, base and instructions. */
function readStages(text) {
  const stages = [];
  const globals = {};
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === 'FROM')
      stages.push({ name: instruction.getBuildStage() ?? String(stages.length), base: expand(instruction.getImage(), globals), steps: [] });
    else if (stages.length === 0) for (const [name, value] of parsePairs(instruction)) globals[name] = value;
    else stages.at(-1).steps.push(instruction);
  }
  return stages;
}

/** A root folder as the steps see it: this machine's programs below what the stage has made. */
const MOUNTS = `
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
for folder in usr etc proc dev; do mkdir -p "$ROOT/$folder"; mount --rbind "/$folder" "$ROOT/$folder"; done
for folder in usr etc; do mount -o remount,bind,ro "$ROOT/$folder"; done
for link in bin lib lib64 sbin; do [ -e "$ROOT/$link" ] || ln -s "usr/$link" "$ROOT/$link"; done
mkdir -p -m 1777 "$ROOT/tmp"
`;
/** Packages come from where this user gets them: npm's settings and its cache. */
const NPM = `
mkdir -p "$ROOT/root/.npm"
[ -d "$HOME/.npm" ] && mount --bind "$HOME/.npm" "$ROOT/root/.npm"
[ -f "$HOME/.npmrc" ] && cp "$HOME/.npmrc" "$ROOT/root/.npmrc"
`;

/** `cp` where it is much faster than Node. */
function cloneFolder(from, to) {
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function within(root, script, environment, namespaces = ['--mount']) {
  const { error, status } = spawnSync('unshare', [...namespaces, 'sh', '-c', script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...environment, PATH: process.env.PATH, HOME: process.env.HOME, ROOT: root },
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`a step ended with ${status}`);
}

function run(stage, instruction) {
  const command = instruction.getRawArgumentsContent();
  if (modules !== undefined && command.startsWith('npm ci')) {
    say(`${stage.name}: ${modules} stands in for RUN ${command}`);
    cloneFolder(resolve(modules), join(stage.root, stage.folder, 'node_modules'));
    return;
  }
  say(`${stage.name}: RUN ${command}`);
  const script = `${MOUNTS}${NPM}export HOME=/root; exec chroot "$ROOT" sh -c 'cd "$FOLDER" && eval "$COMMAND"'`;
  within(stage.root, script, { ...process.env, ...stage.environment, FOLDER: stage.folder, COMMAND: command });
}

const isInContext = ignore()
  .add(readFileSync(join(CONTEXT, '.dockerignore'), 'utf8'))
  .createFilter();

/** Files of the context that a pattern of COPY names, as paths relative to it. */
function matching(source) {
  const folder = dirname(source);
  const pattern = new RegExp(
    `^${basename(source)
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[^/]*')}$`,
  );
  return source.includes('*')
    ? readdirSync(join(CONTEXT, folder))
        .filter((name) => pattern.test(name))
        .map((name) => join(folder, name))
    : [source];
}

function copy(stage, instruction, stages) {
  const names = instruction.getArguments().map((argument) => expand(argument.getValue(), stage.environment));
  const destination = names.at(-1);
  const from = instruction.getFromFlag()?.getValue();
  const [base, admits] = from === undefined ? [CONTEXT, isInContext] : [rootOf(from, stages), () => true];
  const pathIn = (file) => file.slice(base.length).replace(/^\//, '');
  say(`${stage.name}: COPY ${instruction.getRawArgumentsContent()}`);
  const sources = names.slice(0, -1).flatMap((name) => (from === undefined ? matching(name) : [name]));
  if (sources.length === 0) throw new Error(`COPY ${names.join(' ')}: nothing matches`);
  const to = resolve('/', stage.folder, destination);
  const isFolder = destination.endsWith('/') || sources.length > 1 || destination === '.';
  let files = 0;
  for (const source of sources) {
    const path = join(base, source);
    if (!existsSync(path)) throw new Error(`COPY: there is no ${source}`);
    const place = join(stage.root, statSync(path).isFile() && isFolder ? join(to, basename(source)) : to);
    mkdirSync(dirname(place), { recursive: true });
    cpSync(path, place, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => {
        if (lstatSync(file).isDirectory()) return true;
        const isAdmitted = admits(pathIn(file));
        if (isAdmitted) files++;
        return isAdmitted;
      },
    });
  }
  if (files === 0) throw new Error(`COPY ${names.join(' ')}: .dockerignore leaves nothing of it`);
}

function rootOf(name, stages) {
  const stage = stages.find((candidate) => candidate.name === name);
  if (stage === undefined) throw new Error(`COPY --from=${name}: there is no such stage`);
  build(stage, stages);
  return stage.root;
}

function build(stage, stages) {
  if (stage.root !== undefined) return;
  const base = stages.find(({ name }) => name === stage.base);
  if (base !== undefined) build(base, stages);
  stage.root = join(work, stage.name);
  mkdirSync(stage.root);
  if (base !== undefined) cloneFolder(`${base.root}/.`, stage.root);
  Object.assign(stage, { folder: base?.folder ?? '/', environment: { ...base?.environment }, user: base?.user ?? '0:0', volumes: [] });
  say(`${stage.name}: FROM ${stage.base}`);
  const apply = {
    WORKDIR: (instruction) => {
      stage.folder = resolve(stage.folder, instruction.getPath());
      mkdirSync(join(stage.root, stage.folder), { recursive: true });
    },
    ARG: (instruction) => void Object.assign(stage.environment, Object.fromEntries(parsePairs(instruction))),
    ENV: (instruction) => void Object.assign(stage.environment, Object.fromEntries(parsePairs(instruction))),
    RUN: (instruction) => run(stage, instruction),
    COPY: (instruction) => copy(stage, instruction, stages),
    USER: (instruction) => void (stage.user = instruction.getRawArgumentsContent()),
    VOLUME: (instruction) => void stage.volumes.push(instruction.getRawArgumentsContent()),
    HEALTHCHECK: (instruction) => void (stage.health = commandOf(instruction)),
    CMD: (instruction) => void (stage.command = commandOf(instruction)),
    EXPOSE: (instruction) => void (stage.port = instruction.getRawArgumentsContent()),
  };
  for (const instruction of stage.steps) {
    const step = apply[instruction.getKeyword()];
    if (step === undefined) throw new Error(`${instruction.getKeyword()} is not known to this script`);
    step(instruction);
  }
}

const KEY = 'for-these-steps-only';

/** As a container with a read-only root, its volumes, a tmpfs and a network of its own. */
function start(stage) {
  const [user, group] = stage.user.split(':');
  const environment = Object.entries({
    ...stage.environment,
    REELFUSE_API_KEYS: `${KEY}:recommend`,
    REELFUSE_LOG_LEVEL: 'warn',
    PATH: process.env.PATH,
  });
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const inside = (command) =>
    `chroot "$ROOT" setpriv --reuid ${user} --regid ${group} --clear-groups env -i -C ${quote(stage.folder)} ` +
    [...environment.map(([name, value]) => `${name}=${value}`), ...command].map(quote).join(' ');
  const ask = `
    const answer = await fetch('http://127.0.0.1:${stage.port}/v1/users/cooking-fan/recommendations?k=20', { headers: { 'x-api-key': '${KEY}' } });
    const { items, fallback } = await answer.json();
    if (items.length !== 20 || fallback !== null) throw new Error(JSON.stringify({ items, fallback }));
    console.log('        20 clips, first: ' + items[0].item_id);`;
  const script = `${MOUNTS}
for volume in ${stage.volumes.map(quote).join(' ')}; do mount --bind "$ROOT$volume" "$ROOT$volume"; done
mount -t tmpfs none "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
ip link set lo up
(exec ${inside(stage.command)}) & server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for try in $(seq 120); do ${inside(stage.health)} 2>/dev/null && break; [ $try -lt 120 ]; sleep 0.5; done
echo "        healthy"
if ${inside(['touch', `${stage.folder}/touched`])} 2>/dev/null; then echo "the root is not read-only"; exit 1; fi
${inside(['node', '--input-type=module', '-e', ask])}
kill -TERM $server
wait $server
echo "        stopped in order"
`;
  say(`${stage.name}: CMD ${stage.command.join(' ')}, as ${stage.user} on a read-only root`);
  within(stage.root, script, {}, ['--mount', '--net']);
}

const megabytes = (folder) => spawnSync('du', ['-sm', folder], { encoding: 'utf8' }).stdout.split('\t')[0];

try {
  if (process.platform !== 'linux' || process.getuid() !== 0) throw new Error('mount namespaces are made by root on Linux alone');
  const stages = readStages(readFileSync(join(CONTEXT, 'Dockerfile'), 'utf8'));
  const wanted = stages.find(({ name }) => name === target);
  if (wanted === undefined) throw new Error(`the Dockerfile has no target ${target}: it has ${stages.map(({ name }) => name).join(', ')}`);
  build(wanted, stages);
  say(
    `${target}: ${megabytes(join(wanted.root, wanted.folder))} MB on top of ${stages.find(({ name }) => name === wanted.base)?.base ?? wanted.base}`,
  );
  start(wanted);
  say('done');
} finally {
  rmSync(work, { recursive: true, force: true });
}
