import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageFile } from '../src/package-root.js';
import { startProgram, type Running } from './processes.js';

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Every setting that the load could meet as its default; only the log is quieter, as the peers write none. */
const environmentOf = (data: string, dataDir: string, port: number): Record<string, string> => ({
  REELFUSE_PORT: String(port),
  REELFUSE_DATA_DIR: dataDir,
  REELFUSE_MODEL_DIR: join(data, 'artifact'),
  REELFUSE_LOG_LEVEL: 'warn',
  REELFUSE_EXECUTION_PROVIDERS: 'cpu',
});

const startOwn = (environment: Record<string, string>): Promise<Running> =>
  startProgram(
    process.execPath,
    ['--max-semi-space-size=64', packageFile('dist', 'src', 'main.js'), 'serve'], // as `npm start`
    environment,
    `http://127.0.0.1:${environment.REELFUSE_PORT}/readyz`,
  );

/** Users of a load come back with the same history, which would spare most runs of the tower; the peers have no such memory. */
export const EMBEDS_ALWAYS = { REELFUSE_USER_VECTOR_MIB: '0' };

/** The server on a copy of the folder's data, which goes with it. */
export async function startPrepared(data: string, port: number, extra: Record<string, string> = {}): Promise<Running> {
  const copy = mkdtempSync(join(tmpdir(), 'reelfuse-bench-'));
  cpSync(join(data, 'reelfuse'), copy, { recursive: true });
  const program = await startOwn({ ...environmentOf(data, copy, port), ...extra });
  return {
    pid: program.pid,
    stop: async () => {
      await program.stop();
      rmSync(copy, { recursive: true, force: true });
    },
  };
}

/** The catalogue and the histories as a data folder of the server, by its own import and with a snapshot. Made once. */
export async function importData(data: string): Promise<void> {
  const target = join(data, 'reelfuse');
  if (existsSync(target)) return;
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  execFileSync(
    process.execPath,
    [packageFile('dist', 'src', 'main.js'), 'import', '--items', join(data, 'items.jsonl'), '--history', join(data, 'pairs.tsv')],
    {
      env: { PATH: process.env.PATH, REELFUSE_DATA_DIR: partial, REELFUSE_MODEL_DIR: join(data, 'artifact') },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const once = await startOwn(environmentOf(data, partial, await freePort()));
  await once.stop(); // an orderly end writes a snapshot
  renameSync(partial, target);
}

/** A model with random weights, made once: hidden states [layers, width] → vectors [dim]. Needs the Python environment of the peers. @returns its folder */
export function prepareModel(folder: string, layers: number, width: number, dim: number): string {
  const model = join(folder, `model-${layers}x${width}-${dim}`);
  if (existsSync(model)) return model;
  execFileSync(packageFile('bench', 'peer', 'setup.sh'), [folder], { stdio: ['ignore', 'inherit', 'inherit'] });
  const partial = `${model}.partial`;
  rmSync(partial, { recursive: true, force: true });
  const script = packageFile('bench', 'peer', 'make_model.py');
  execFileSync(join(folder, 'venv', 'bin', 'python'), [script, partial, String(layers), String(width), String(dim)]);
  renameSync(partial, model);
  return model;
}
