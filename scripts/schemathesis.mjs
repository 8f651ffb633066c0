// Runs schemathesis over the API of a server of its own: `node scripts/schemathesis.mjs PROGRAM [--max-examples N]`, with the path of the
// program `schemathesis`. The seed is fixed. The exit code is that of schemathesis.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const path = (...parts) => fileURLToPath(new URL(join('..', ...parts), import.meta.url));
const CONFIG = path('scripts', 'schemathesis.toml');
const SEED = '1';

const [program = 'schemathesis', ...options] = process.argv.slice(2);

/** They do not come in the strings that are generated. */
const isSurrogate = (code) => code >= 0xd800 && code <= 0xdfff;

/** Regular expressions of Python know no categories of Unicode. */
function toPython(pattern) {
  const inClass = (category) => {
    const ofCategory = new RegExp(category, 'u');
    const ranges = [];
    for (let code = 0; code <= 0x10ffff; code++) {
      if (!ofCategory.test(String.fromCodePoint(code)) || isSurrogate(code)) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === code - 1) last[1] = code;
      else ranges.push([code, code]);
    }
    const escaped = (code) => `\\U${code.toString(16).padStart(8, '0')}`;
    return ranges.map(([first, last]) => `${escaped(first)}-${escaped(last)}`).join('');
  };
  return pattern.replaceAll('\\P{Cs}', '[\\s\\S]').replaceAll(/\\p\{\w+\}/g, inClass);
}

const convert = (value) =>
  JSON.parse(JSON.stringify(value), (key, member) => (key === 'pattern' && typeof member === 'string' ? toPython(member) : member));

const folder = mkdtempSync(join(tmpdir(), 'reelfuse-schemathesis-'));
const server = spawn(process.execPath, [path('dist', 'src', 'main.js'), 'serve'], {
  env: {
    ...process.env,
    REELFUSE_PORT: '0',
    REELFUSE_DATA_DIR: join(folder, 'data'),
    REELFUSE_LOG_LEVEL: 'error',
    REELFUSE_EXECUTION_PROVIDERS: 'cpu',
  },
  stdio: ['ignore', 'inherit', 'pipe'],
});
const ended = once(server, 'exit');
try {
  let output = '';
  for await (const piece of server.stderr.iterator({ destroyOnReturn: false })) {
    output += piece;
    if (output.includes('is ready')) break;
  }
  server.stderr.pipe(process.stderr);
  const [, url] = /listens on (\S+)/.exec(output) ?? [];
  if (url === undefined) throw new Error(`the server did not get ready: ${output}`);
  const description = await (await fetch(new URL('/openapi.json', url))).json();
  const file = join(folder, 'openapi.json');
  writeFileSync(file, JSON.stringify(convert(description)));
  const run = spawn(program, [`--config-file=${CONFIG}`, 'run', file, `--url=${url}`, `--seed=${SEED}`, ...options], {
    cwd: folder,
    stdio: 'inherit',
  });
  const [code] = await once(run, 'exit');
  process.exitCode = code ?? 1;
  if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
} finally {
  server.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
