import { execFile } from 'node:child_process';
import { arch, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { failed, ok, type Check } from './check.js';

/** Packages with native code, and the command that rebuilds each. */
const PARTS: Record<string, string> = {
  'better-sqlite3': 'npm rebuild better-sqlite3   (needs a C++ compiler and Python)',
  'hnswlib-node': 'HNSWLIB_MARCH=portable npm rebuild hnswlib-node   (needs a C++ compiler)',
  'onnxruntime-node': 'npm ci   (its bundled libraries are for glibc Linux, macOS and Windows)',
};

const PROBE = fileURLToPath(new URL('./probe-part.js', import.meta.url));
const PROBE_MS = 60_000;

const unloadable = (reason: string): string => `does not load for Node ${process.version} on ${platform()} ${arch()}: ${reason}`;

/** What a start says about a native part that does not load. */
export function describeUnloadable(message: string): string {
  const [reason = ''] = message.split('\n');
  const known = Object.entries(PARTS).find(([name]) => message.replaceAll('_', '-').includes(name.replace('-node', '')));
  if (known === undefined) return `a part of the installation ${unloadable(reason)}; npm ci, or see reelfuse doctor`;
  const [name, remedy] = known;
  return `${name} ${unloadable(reason)}; ${remedy}`;
}

/** Loads and uses each part in a child process: a part that was built for another CPU ends the process that loads it. */
export const checkNativeParts = (): Promise<Check[]> => Promise.all(Object.entries(PARTS).map(([name, remedy]) => checkPart(name, remedy)));

const checkPart = (name: string, remedy: string): Promise<Check> =>
  new Promise((resolve) => {
    execFile(process.execPath, [PROBE, name], { timeout: PROBE_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(ok(name, stdout.trim()));
      else if (error.signal === 'SIGILL') resolve(failed(name, 'was built for another CPU: it ends by SIGILL', remedy));
      else if (error.signal != null) resolve(failed(name, `ends by ${error.signal}`, remedy));
      else resolve(failed(name, unloadable(stderr.trim()), remedy));
    });
  });
