// Builds hnswlib-node once more for this machine's vector instructions: a sixth off each search. HNSWLIB_MARCH names another
// target of the compiler (x86-64-v3 for images that run elsewhere); `portable` keeps the build that came first. A build that
// fails or does not load leaves the portable one.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

const march = process.env.HNSWLIB_MARCH ?? 'native';
const npm = process.env.npm_execpath;

function rebuild() {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('hnswlib-node/package.json'));
  const built = join(folder, 'build', 'Release', 'addon.node');
  if (npm === undefined || !existsSync(built)) return;
  const portable = join(folder, 'addon.node.portable'); // a rebuild empties its own folder
  cpSync(built, portable);
  try {
    const flags = `${process.env.CXXFLAGS ?? ''} -O3 -march=${march}`;
    execFileSync(process.execPath, [npm, 'rebuild', 'hnswlib-node'], { env: { ...process.env, CXXFLAGS: flags }, stdio: 'pipe' });
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
