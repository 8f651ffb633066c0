// Packs the package, installs it into an empty folder, runs `npx reelfuse demo` there and asks it for clips. Minutes: the
// native parts are compiled. --keep leaves the folder.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'reelfuse-package-'));
// what a user without a GPU sets: ONNX Runtime would fetch its CUDA libraries
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip', REELFUSE_PORT: '0', REELFUSE_LOG_LEVEL: 'warn' };
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

function npm(args, cwd) {
  const since = performance.now();
  const { status } = spawnSync('npm', args, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${status}`);
  return seconds(since);
}

async function tryDemo() {
  const since = performance.now();
  const demo = spawn('npx', ['reelfuse', 'demo'], { cwd: folder, env, detached: true, stdio: ['ignore', 'inherit', 'pipe'] });
  const ended = once(demo, 'exit');
  try {
    let url = null;
    for await (const line of createInterface({ input: demo.stderr })) {
      url ??= /listens on (http:\S+)/.exec(line)?.[1] ?? null;
      if (line.includes('is ready')) break;
    }
    if (url === null) throw new Error('the demo ended before it was ready');
    const ready = seconds(since);
    const answer = await fetch(`${url}/v1/users/cooking-fan/recommendations?k=20`);
    const { items, fallback } = await answer.json();
    if (items.length !== 20 || fallback !== null) throw new Error(JSON.stringify({ items, fallback }));
    const page = await fetch(url);
    if (page.status !== 200) throw new Error(`the console is answered by ${page.status}`);
    return ready;
  } finally {
    process.kill(-demo.pid, 'SIGTERM'); // npx and what it has started
    await ended;
  }
}

try {
  const packed = npm(['pack', '--silent', '--pack-destination', folder], ROOT);
  const [archive] = readdirSync(folder);
  const size = statSync(join(folder, archive)).size;
  const installed = npm(['install', '--no-audit', '--no-fund', join(folder, archive)], folder);
  const ready = await tryDemo();
  process.stdout.write(
    `${archive}: ${(size / 2 ** 20).toFixed(1)} MiB, packed in ${packed}, installed in ${installed}, demo ready after ${ready}, 20 clips\n`,
  );
} finally {
  if (process.argv.includes('--keep')) process.stdout.write(`${folder}\n`);
  else rmSync(folder, { recursive: true, force: true });
}
