import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clip, DEMO_ARTIFACT } from '../build.js';
import { packageFile } from '../../src/package-root.js';
import { prepareFiles, underServer } from './kill-cases.js';
import { openLedger } from './ledger.js';
import { disorderOf, runProgram, startProgram, type Ended } from './program.js';
import type { Random, Trial } from './trial.js';

/** Damages a file as disks, editors and other programs do. @returns what was done */
function damage(file: string, random: Random): string {
  const { size } = statSync(file);
  const kind = random.pick(['cut', 'emptied', 'flipped', 'overwritten', 'grown', 'zeroed', 'repeated'] as const);
  if (kind === 'cut') truncateSync(file, random.below(size + 1));
  else if (kind === 'emptied') truncateSync(file, 0);
  else if (kind === 'grown') writeFileSync(file, Buffer.alloc(1 + random.below(5000), random.below(256)), { flag: 'a' });
  else {
    const bytes = readFileSync(file);
    const from = random.below(Math.max(1, bytes.length));
    const length = Math.min(bytes.length - from, 1 + random.below(4096));
    if (kind === 'flipped') for (let n = 0; n < 1 + random.below(20) && bytes.length > 0; n++) bytes[random.below(bytes.length)] = random.below(256);
    else if (kind === 'zeroed') bytes.fill(0, from, from + length);
    else if (kind === 'overwritten') for (let at = from; at < from + length; at++) bytes[at] = random.below(256);
    else bytes.copyWithin(random.below(Math.max(1, bytes.length)), from, from + length);
    writeFileSync(file, bytes);
  }
  return `${file.split('/').at(-1)} ${kind}`;
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

interface Target {
  name: string;
  /** Damages something below the folder and runs a command on it. */
  run(folder: string, random: Random): Promise<{ what: string; ended: Ended }>;
}

/** Damaged files under every command that reads them: it ends with a documented code and a clear line, or serves what is intact. */
export async function files(trial: Trial): Promise<void> {
  const whole = join(trial.folder, 'whole');
  const backup = join(trial.folder, 'backup');
  const sources = prepareFiles(join(trial.folder, 'files'));
  writeFileSync(
    join(sources, 'items.csv'),
    `item_id,title,author_id,views:number,tags:list\n${Array.from({ length: 50 }, (_, n) => `${clip(n + 1)},"a ""title"", ${n}",a${n % 3},${n},x|y`).join('\n')}\n`,
  );
  await underServer(trial.folder, { REELFUSE_DATA_DIR: whole }, ({ url }) => openLedger('files').write(url, trial.random(trial.seed), 40));
  await runProgram(['backup', '--quiet', '--to', backup], { REELFUSE_DATA_DIR: whole });
  const sums = new Map<string, { runs: number; codes: Set<string>; wrong: number }>();
  const round = join(trial.folder, 'round');
  for (const { seed, random } of trial.rounds(trial.isShort ? 3 : 40)) {
    for (const { name, run } of targets(sources, whole, backup)) {
      if (trial.isOver()) break;
      rmSync(round, { recursive: true, force: true });
      mkdirSync(round);
      const { what, ended } = await run(round, random);
      trial.count('damaged files');
      const sum = sums.get(name) ?? { runs: 0, codes: new Set(), wrong: 0 };
      sums.set(name, sum);
      sum.runs++;
      sum.codes.add(String(ended.code ?? ended.signal));
      const disorder = disorderOf(ended);
      if (disorder === null) continue;
      sum.wrong++;
      trial.wrong({ seed }, `${name}, ${what}: ${disorder}`);
    }
  }
  for (const [command, { runs, codes, wrong }] of sums) trial.row({ command, runs, codes: [...codes].sort().join(' '), wrong });
}

function targets(sources: string, whole: string, backup: string): Target[] {
  const importOf = (option: string, file: string): Target => ({
    name: `import ${file}`,
    run: async (folder, random) => {
      const copy = join(folder, file);
      cpSync(join(sources, file), copy);
      const what = damage(copy, random);
      return { what, ended: await runProgram(['import', option, copy], { REELFUSE_DATA_DIR: join(folder, 'data') }) };
    },
  });
  /** Serves a copy with one damaged file; a server that gets ready is ended. */
  const serveOf = (name: string, under: string, environment: (folder: string) => Record<string, string> = () => ({})): Target => ({
    name,
    run: async (folder, random) => {
      const data = join(folder, 'data');
      cpSync(whole, data, { recursive: true });
      const settings = { REELFUSE_DATA_DIR: data, ...environment(folder) };
      const what = damage(random.pick(filesIn(join(folder, under))), random);
      const server = await startProgram(folder, settings);
      return { what, ended: 'url' in server ? await server.end('SIGTERM') : server };
    },
  });
  const ofFolder = (
    name: string,
    source: string,
    args: (folder: string) => string[],
    settings: (folder: string) => Record<string, string>,
  ): Target => ({
    name,
    run: async (folder, random) => {
      cpSync(source, join(folder, 'source'), { recursive: true });
      const what = damage(random.pick(filesIn(join(folder, 'source'))), random);
      return { what, ended: await runProgram(args(folder), settings(folder)) };
    },
  });
  const dataOf = (folder: string): Record<string, string> => ({ REELFUSE_DATA_DIR: join(folder, 'source') });
  return [
    importOf('--items', 'items.jsonl'),
    importOf('--items', 'items.csv'),
    importOf('--history', 'events.jsonl'),
    importOf('--history', 'pairs.tsv'),
    {
      name: 'import --features',
      run: async (folder, random) => {
        const copy = join(folder, 'states.safetensors');
        cpSync(packageFile('models', 'demo', 'hidden_states.safetensors'), copy);
        const what = damage(copy, random);
        return {
          what,
          ended: await runProgram(['import', '--items', join(sources, 'items.csv'), '--features', copy], { REELFUSE_DATA_DIR: join(folder, 'data') }),
        };
      },
    },
    ofFolder(
      'evaluate',
      sources,
      (folder) => ['evaluate', '--interactions', join(folder, 'source', 'pairs.tsv'), '--url', 'http://127.0.0.1:9'],
      () => ({}),
    ),
    ofFolder(
      'restore',
      backup,
      (folder) => ['restore', '--from', join(folder, 'source')],
      (folder) => ({ REELFUSE_DATA_DIR: join(folder, 'data') }),
    ),
    ofFolder('backup', whole, (folder) => ['backup', '--to', join(folder, 'target')], dataOf),
    ofFolder('doctor', whole, () => ['doctor'], dataOf),
    serveOf('serve, snapshot', 'data/snapshots'),
    serveOf('serve, data folder', 'data'),
    serveOf('serve, artifact', 'artifact', (folder) => {
      cpSync(DEMO_ARTIFACT, join(folder, 'artifact'), { recursive: true, dereference: true });
      return { REELFUSE_MODEL_DIR: join(folder, 'artifact') };
    }),
  ];
}
