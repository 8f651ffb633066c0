import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.js';
import { readArtifact } from '../../src/model/artifact.js';
import { packageFile } from '../../src/package-root.js';
import { npyOf } from '../npy.js';
import type { KillCase } from './kill-cases.js';
import { endOf, type Ended } from './program.js';

const PYTHON_MS = 120_000;
const ITEMS = 40;
const USERS = 60;
const LAYERS = 2;
const WIDTH = 8;
const RECIPE = ['--epochs', '2', '--dim', '8', '--neighbours', '4', '--threads', '1'];

const itemOf = (n: number): string => `clip-${1 + (n % ITEMS)}`;

/** Writes interactions and hidden states. @returns their flags */
function writeData(files: string): string[] {
  const [interactions, features] = [join(files, 'dff.tsv'), join(files, 'dff.npy')];
  const historyOf = (user: number): string => Array.from({ length: 8 }, (_, n) => itemOf(user * 3 + n * (1 + (user % 4)))).join(' ');
  writeFileSync(interactions, Array.from({ length: USERS }, (_, user) => `u${user}\t${historyOf(user)}\n`).join(''));
  writeFileSync(
    features,
    npyOf(
      [ITEMS, LAYERS, WIDTH],
      Float32Array.from({ length: ITEMS * LAYERS * WIDTH }, (_, position) => Math.sin(position * 1.7)),
    ),
  );
  writeFileSync(join(files, 'dff.ids.txt'), Array.from({ length: ITEMS }, (_, n) => `${itemOf(n)}\n`).join(''));
  return ['--interactions', interactions, '--features', features];
}

/** Makes a small video model and clips. */
const MAKE_VIDEOS = `
import sys
from pathlib import Path
from tiny_lvlm import make_model, write_video
folder = Path(sys.argv[1])
make_model("qwen2-vl", folder / "model")
for number in range(4):
    write_video(folder / "videos" / f"clip{number}.mp4", number)
`;

/** Flags of an extraction; null: the interpreter lacks what it needs. */
function writeVideos(files: string, python: string): string[] | null {
  const folder = join(files, 'extraction');
  mkdirSync(join(folder, 'videos'), { recursive: true });
  const { status } = spawnSync(python, ['-c', MAKE_VIDEOS, folder], {
    env: { ...process.env, PYTHONPATH: `${packageFile('models')}:${packageFile('models', 'tests')}` },
  });
  if (status !== 0) return null;
  const settings = ['--frames', '4', '--device', 'cpu', '--batch-size', '1', '--shard-items', '2'];
  return ['--videos', join(folder, 'videos'), '--model', join(folder, 'model'), ...settings];
}

/** Header and data of a safetensors file. The library writes the header in any order. */
function contentOf(file: string): unknown {
  const bytes = readFileSync(file);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, end).toString()) as object;
  return { header, data: createHash('sha256').update(bytes.subarray(end)).digest('hex') };
}

/** The shards of an extraction by name. */
const shardsOf = (folder: string): unknown =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .map((name) => [name, contentOf(join(folder, name))]);

const jsonOf = (file: string): Record<string, unknown> => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;

/** An artifact that has a manifest is whole: a server loads it. */
async function inspectArtifact(folder: string): Promise<string[]> {
  if (!existsSync(join(folder, 'model.json'))) return [];
  try {
    await readArtifact(folder);
    return [];
  } catch (error) {
    return [`a half-made artifact has a manifest: ${messageOf(error)}`];
  }
}

function inspectJson(file: string): string[] {
  if (!existsSync(file)) return [];
  try {
    jsonOf(file);
    return [];
  } catch {
    return [`${file} is half written`];
  }
}

/** Without what differs from run to run: times, and digests of files whose header has no order. */
const comparable = (content: unknown): unknown =>
  JSON.parse(JSON.stringify(content, (key, value: unknown) => (/seconds|minutes|sha256/.test(key) ? undefined : value)));

/** Commands of the Python package, by the interpreter that BREAK_PYTHON names; none without it. @param files folder for what they read */
export function pythonCases(files: string, python = process.env.BREAK_PYTHON): KillCase[] {
  if (python === undefined) return [];
  const data = writeData(files);
  const dff = (faults: Record<string, string>, args: readonly string[]): Promise<Ended> =>
    endOf(
      spawn(python, ['-m', 'dff', ...args], {
        env: { ...process.env, OMP_NUM_THREADS: '1', PYTHONPATH: packageFile('models'), PYTHONDONTWRITEBYTECODE: '1', ...faults },
      }),
      PYTHON_MS,
    );
  const videos = writeVideos(files, python);
  const extraction: KillCase[] =
    videos === null
      ? []
      : [
          {
            name: 'dff extract',
            setUp: () => undefined,
            run: (folder, faults) => dff(faults, ['extract', ...videos, '--out', join(folder, 'states')]),
            inspect: async (folder) => inspectJson(join(folder, 'states', 'index.json')),
            state: (folder) => ({ shards: shardsOf(join(folder, 'states')), index: comparable(jsonOf(join(folder, 'states', 'index.json'))) }),
          },
        ];
  return [
    ...extraction,
    {
      name: 'dff run',
      setUp: () => undefined,
      run: (folder, faults) => dff(faults, ['run', ...data, ...RECIPE, '--out', join(folder, 'run'), '--resume']),
      inspect: async (folder) => [...(await inspectArtifact(join(folder, 'run', 'artifact'))), ...inspectJson(join(folder, 'run', 'metrics.json'))],
      state: async (folder) => {
        const { manifest } = await readArtifact(join(folder, 'run', 'artifact'));
        return { files: Object.keys(manifest.files), metrics: comparable(jsonOf(join(folder, 'run', 'metrics.json'))) };
      },
    },
    {
      name: 'dff study',
      setUp: () => undefined,
      run: (folder, faults) =>
        dff(faults, ['study', ...data, ...RECIPE, '--arms', 'id,fusion-dff', '--seeds', '0', '--no-cold-start', '--out', join(folder, 'study')]),
      inspect: async (folder) => inspectJson(join(folder, 'study', 'study.json')),
      state: (folder) => comparable(jsonOf(join(folder, 'study', 'study.json'))),
    },
  ];
}
