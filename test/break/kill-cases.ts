import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { restoreEmbedded } from '../../src/composition/embedded-backup.js';
import { InputError } from '../../src/errors.js';
import { packageFile } from '../../src/package-root.js';
import { clip, DEMO_ARTIFACT } from '../build.js';
import { dumpOf } from './dump.js';
import { disorderOf, runProgram, startProgram, type Ended, type RunningServer } from './program.js';
import { call } from './call.js';
import type { Random } from './trial.js';

export interface KillCase {
  name: string;
  /** Fills the folder of a round. */
  setUp(folder: string): void;
  /** The command; it may be killed. @returns how it ended; null: by the kill */
  run(folder: string, environment: Record<string, string>, random: Random): Promise<Ended>;
  /** After a kill, before the second run. @returns what is not as it must be */
  inspect?(folder: string, whole: unknown): Promise<string[]>;
  /** After the second run, in a form that is the same after an undisturbed one. */
  state(folder: string): unknown;
  /** Whether a second run that refuses, because the first was complete, is right. */
  mayRefuse?: boolean;
}

const errorOf = async (task: Promise<unknown>): Promise<unknown> => {
  try {
    await task;
    return null;
  } catch (error) {
    return error;
  }
};

const attempt = <Value>(task: () => Value): Value | string => {
  try {
    return task();
  } catch (error) {
    return String(error);
  }
};

const ITEMS = 600;
const BAD_ROWS = new Set([5, 300, 590]);

/** Writes what imports read. */
function writeImportFiles(folder: string): void {
  const rows = Array.from({ length: ITEMS }, (_, n) => (BAD_ROWS.has(n) ? '{"colour":1}' : JSON.stringify({ item_id: clip(n + 1), title: `t${n}` })));
  writeFileSync(join(folder, 'items.jsonl'), rows.join('\n'));
  const events = Array.from({ length: ITEMS }, (_, n) =>
    JSON.stringify({
      event_id: `e${n}`,
      user_id: `u${n % 7}`,
      item_id: clip(1 + (n % 90)),
      type: 'like',
      at: new Date(1_700_000_000_000 + n).toISOString(),
    }),
  );
  writeFileSync(join(folder, 'events.jsonl'), events.join('\n'));
  writeFileSync(
    join(folder, 'pairs.tsv'),
    Array.from({ length: 20 }, (_, n) => `v${n}\t${[1, 2, 3, 4, 5, 6].map((k) => clip(k + n)).join(' ')}`).join('\n'),
  );
}

const rejectedIn = (file: string): unknown =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => attempt(() => (JSON.parse(line) as { row: number }).row))
    : [];

/** @param files folder with the files to import @param data a whole data folder @param backup a whole backup of it */
export function killCases(files: string, data: string, backup: string, url: () => string): KillCase[] {
  const dataDir = (folder: string): string => join(folder, 'data');
  const environment = (folder: string, faults: Record<string, string>): Record<string, string> => ({ REELFUSE_DATA_DIR: dataDir(folder), ...faults });
  const copyData = (folder: string): void => cpSync(data, dataDir(folder), { recursive: true });
  return [
    {
      name: 'import',
      setUp: () => undefined,
      run: (folder, faults) =>
        runProgram(
          [
            'import',
            '--json',
            '--items',
            join(files, 'items.jsonl'),
            '--features',
            packageFile('models', 'demo', 'hidden_states.safetensors'),
            '--history',
            join(files, 'events.jsonl'),
            '--rejects',
            join(folder, 'rejects.jsonl'),
          ],
          { ...environment(folder, faults), REELFUSE_MODEL_DIR: DEMO_ARTIFACT },
        ),
      state: (folder) => ({ ...dumpOf(dataDir(folder)), rejects: rejectedIn(join(folder, 'rejects.jsonl')) }),
    },
    {
      name: 'import of histories',
      setUp: copyData,
      run: (folder, faults) => runProgram(['import', '--json', '--history', join(files, 'pairs.tsv')], environment(folder, faults)),
      state: (folder) => dumpOf(dataDir(folder)),
    },
    {
      name: 'backup',
      setUp: copyData,
      run: (folder, faults) => runProgram(['backup', '--json', '--to', join(folder, 'backup')], environment(folder, faults)),
      inspect: async (folder, whole) => {
        const trial = join(folder, 'inspected');
        const error = await errorOf(restoreEmbedded(join(folder, 'backup'), trial));
        if (error instanceof InputError) return [];
        if (error !== null) return [`restore of the half backup failed: ${String(error)}`];
        const found = dumpOf(trial);
        return JSON.stringify(found) === JSON.stringify((whole as { dump: unknown }).dump) ? [] : ['a half backup was restored'];
      },
      state: (folder) => {
        const trial = join(folder, 'restored');
        return restoreEmbedded(join(folder, 'backup'), trial).then((manifest) => ({ files: Object.keys(manifest.files), dump: dumpOf(trial) }));
      },
      mayRefuse: true,
    },
    {
      name: 'restore',
      setUp: () => undefined,
      run: (folder, faults) => runProgram(['restore', '--json', '--from', backup], environment(folder, faults)),
      inspect: async (folder, whole) => {
        if (!existsSync(dataDir(folder))) return []; // nothing is there: a server would begin anew
        const isBegun = existsSync(join(dataDir(folder), '.partial'));
        const copy = join(folder, 'served');
        cpSync(dataDir(folder), copy, { recursive: true });
        const server = await startProgram(folder, { REELFUSE_DATA_DIR: copy, REELFUSE_MODEL_DIR: '' });
        if (!('url' in server)) return [disorderOf(server)].filter((text) => text !== null).map((text) => `serve on a half restored folder ${text}`);
        await server.end('SIGTERM');
        const isSame = JSON.stringify(dumpOf(copy)) === JSON.stringify(whole);
        return isSame || !isBegun ? [] : ['a half restored folder was served'];
      },
      state: (folder) => dumpOf(dataDir(folder)),
      mayRefuse: true,
    },
    {
      name: 'evaluate',
      setUp: (folder) => writeFileSync(join(folder, 'figures.json'), '{"users":0}\n'),
      run: (folder, faults) =>
        runProgram(
          ['evaluate', '--quiet', '--url', url(), '--interactions', join(files, 'pairs.tsv'), '--json', join(folder, 'figures.json')],
          faults,
        ),
      inspect: async (folder) => {
        const text = readFileSync(join(folder, 'figures.json'), 'utf8');
        return typeof attempt(() => JSON.parse(text) as object) === 'string'
          ? [`the figures are half written: ${JSON.stringify(text.slice(0, 50))}`]
          : [];
      },
      state: (folder) => (JSON.parse(readFileSync(join(folder, 'figures.json'), 'utf8')) as { users: number }).users,
    },
    {
      name: 'first start',
      setUp: () => undefined,
      run: (folder, faults) => underServer(folder, environment(folder, faults), () => Promise.resolve()),
      state: (folder) => dumpOf(dataDir(folder)),
    },
    {
      name: 'snapshot',
      setUp: copyData,
      run: (folder, faults, random) =>
        underServer(folder, environment(folder, faults), async ({ url: at }) => {
          await call(at, 'PUT', '/v1/items/snapped', { title: `t${random.below(2)}` });
          await call(at, 'PUT', '/v1/items/snapped', { title: 'last' });
          await call(at, 'POST', '/v1/snapshots');
        }),
      state: (folder) => dumpOf(dataDir(folder)),
    },
  ];
}

/** Serves, runs a task and ends the server. */
export async function underServer(
  folder: string,
  environment: Record<string, string>,
  task: (server: RunningServer) => Promise<void>,
): Promise<Ended> {
  const server = await startProgram(folder, environment);
  if (!('url' in server)) return server;
  try {
    await task(server);
  } catch (error) {
    await server.end('SIGKILL');
    throw error;
  }
  return server.isAlive() ? server.end('SIGTERM') : server.ended;
}

export const prepareFiles = (folder: string): string => {
  mkdirSync(folder);
  writeImportFiles(folder);
  return folder;
};
