// Builds hnswlib-node once more for this machine's vector instructions: a sixth off each search. HNSWLIB_MARCH names another
// target of the compiler (x86-64-v3 for images that run elsewhere); `portable` keeps the build that came first. A build that
// fails or does not load leaves the portable one.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const march = process.env.HNSWLIB_MARCH ?? 'native';
const npm = process.env.npm_execpath;
const OWN_FOLDER = dirname(dirname(fileURLToPath(import.meta.url)));
const WAIT_MS = 300_000;

/** As a dependency this runs beside the build of its neighbour, which npm has begun before. */
function waitFor(file) {
  const until = Date.now() + WAIT_MS;
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(file) && Date.now() < until) Atomics.wait(never, 0, 0, 500);
}

function rebuild() {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('hnswlib-node/package.json'));
  const built = join(folder, 'build', 'Release', 'addon.node');
  if (npm === undefined) return;
  if (dirname(OWN_FOLDER) === dirname(folder)) waitFor(built);
  if (!existsSync(built)) return;
  const portable = join(folder, 'addon.node.portable'); // a rebuild empties its own folder
  cpSync(built, portable);
  try {
    const flags = `${process.env.CXXFLAGS ?? ''} -O3 -march=${march}`;
    // npm looks for the module below the folder that it runs in
    const cwd = dirname(dirname(folder));
    execFileSync(process.execPath, [npm, 'rebuild', 'hnswlib-node'], { cwd, env: { ...process.env, CXXFLAGS: flags }, stdio: 'pipe' });
    execFileSync(process.execPath, ['-e', `require(${JSON.stringify(folder)}); new (require(${JSON.stringify(folder)}).HierarchicalNSW)('ip', 8)`], {
      stdio: 'pipe',
    });
  } catch {
    mkdirSync(dirname(built), { recursive: true });
    cpSync(portable, built);
    process.stderr.write(`hnswlib-node stays as it is: building it for ${march} did not work\n`);
  } finally {
    rmSync(portable, { force: true });
  }
}

if (march !== 'portable' && process.platform !== 'win32') rebuild();
