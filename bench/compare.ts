import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageFile } from '../src/package-root.js';
import { clip, demoStates } from '../test/build.js';
import { table } from './load.js';
import { EMBEDS_ALWAYS, freePort } from './prepared.js';
import { cpuSeconds, load, startProgram, type Running } from './processes.js';

const SCRIPT = packageFile('bench', 'peer', 'load.lua');
const WARM_SECONDS = 2;
const K = 20;
/** Items of one ingest measurement. */
const INGESTED = 12_000;

interface Build {
  name: 'before' | 'after';
  /** The root of a built checkout. */
  root: string;
}

/** One figure of one build in one round. */
interface Round {
  build: Build['name'];
  rate: number;
  p99: number;
  /** CPU microseconds of the server for one request. */
  cpu: number;
  errors: number;
  ingestedPerSecond: number;
  /** CPU microseconds of the server for one ingested item. */
  ingestCpu: number;
  startSeconds: number;
}

const start = (root: string, dataDir: string, port: number): Promise<Running> =>
  startProgram(
    process.execPath,
    ['--max-semi-space-size=64', join(root, 'dist', 'src', 'main.js'), 'serve'], // as `npm start`
    { REELFUSE_PORT: String(port), REELFUSE_DATA_DIR: dataDir, REELFUSE_LOG_LEVEL: 'warn', REELFUSE_EXECUTION_PROVIDERS: 'cpu', ...EMBEDS_ALWAYS },
    `http://127.0.0.1:${port}/readyz`,
  );

/** One NDJSON upload of items with hidden states of the demo's shape. @returns seconds */
async function ingest(port: number, round: number): Promise<number> {
  const rows = Array.from(
    { length: INGESTED },
    (_, n) =>
      `${JSON.stringify({ item_id: `new-${round}-${n}`, title: `clip ${n}`, author_id: `a${n % 97}`, hidden_states: demoStates(clip(1 + (n % 1000))) })}\n`,
  );
  const started = performance.now();
  const sending = request(`http://127.0.0.1:${port}/v1/items/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' },
  });
  const answered = once(sending, 'response').then(async ([response]) => {
    let landed = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) landed += chunk.toString().split('"status":201').length - 1;
    return landed;
  });
  for (const row of rows) if (!sending.write(row)) await once(sending, 'drain');
  sending.end();
  const landed = await answered;
  if (landed !== INGESTED) throw new Error(`${landed} of ${INGESTED} items landed`);
  return (performance.now() - started) / 1000;
}

/**
 * Two builds in turns on copies of one data folder: stored histories at 32 connections, ingest of 7 × 384 hidden states, the
 * start from a snapshot. @param text the option --before: the root of the other checkout, built
 */
export async function compare(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const before = text.get('before');
  if (before === undefined) throw new Error('--before FOLDER is required: a built checkout of the state before');
  const items = options.get('items') ?? 20_000;
  const users = options.get('users') ?? 5_000;
  const seconds = options.get('seconds') ?? 4;
  const connections = options.get('connections') ?? 32;
  const builds: Build[] = [
    { name: 'before', root: resolve(before) },
    { name: 'after', root: packageFile() },
  ];
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-compare-'));
  try {
    const bodies = join(folder, 'bodies.jsonl');
    writeFileSync(bodies, Array.from({ length: users }, (_, n) => `${JSON.stringify({ user_id: `user-${n}`, k: K })}\n`).join(''));
    // by the state before: an older schema can be brought up to date, a newer one cannot be read
    const { fillStore } = (await import(join(resolve(before), 'dist', 'bench', 'catalogue.js'))) as typeof import('./catalogue.js');
    await fillStore(join(folder, 'data'), items, users);
    for (const { name, root } of builds) {
      cpSync(join(folder, 'data'), join(folder, name), { recursive: true });
      await (await start(root, join(folder, name), await freePort())).stop(); // builds the graph, and writes its snapshot at the end
    }
    const rounds: Round[] = [];
    for (let round = 0; round < (options.get('repeats') ?? 5); round++)
      for (const build of round % 2 === 0 ? builds : builds.toReversed())
        rounds.push(await measure(build, folder, bodies, round, connections, seconds));
    return report(rounds, items, connections);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure({ name, root }: Build, folder: string, bodies: string, round: number, connections: number, seconds: number): Promise<Round> {
  const data = join(folder, `${name}-${round}`);
  cpSync(join(folder, name), data, { recursive: true });
  const port = await freePort();
  const started = performance.now();
  const server = await start(root, data, port);
  const startSeconds = (performance.now() - started) / 1000;
  try {
    const url = `http://127.0.0.1:${port}/v1/recommendations`;
    const run = (duration: number) => load(SCRIPT, { BODIES: bodies }, url, server.pid, connections, duration);
    await run(WARM_SECONDS);
    const { rate, p99, cpu, errors } = await run(seconds);
    const cpuBefore = cpuSeconds(server.pid);
    const ingestSeconds = await ingest(port, round);
    const ingestCpu = ((cpuSeconds(server.pid) - cpuBefore) / INGESTED) * 1e6;
    return { build: name, rate, p99, cpu, errors, ingestedPerSecond: INGESTED / ingestSeconds, ingestCpu, startSeconds };
  } finally {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

const FIGURES = ['rate', 'p99', 'cpu', 'ingestedPerSecond', 'ingestCpu', 'startSeconds', 'errors'] as const;

function report(rounds: readonly Round[], items: number, connections: number): unknown {
  const medians = (name: Build['name']) =>
    Object.fromEntries(FIGURES.map((figure) => [figure, median(rounds.filter(({ build }) => build === name).map((round) => round[figure]))]));
  const [before, after] = [medians('before'), medians('after')];
  const ratios = Object.fromEntries(FIGURES.map((figure) => [figure, Math.round(((after[figure] ?? NaN) / (before[figure] ?? NaN)) * 1000) / 1000]));
  const rows = FIGURES.map((figure) => [figure, before[figure] ?? null, after[figure] ?? null, ratios[figure] ?? null]);
  process.stderr.write(`${table(['median of rounds', 'before', 'after', 'ratio'], rows)}\n`);
  return { processor: cpus()[0]?.model, items, connections, date: new Date().toISOString(), before, after, ratios, rounds };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const value = sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
  return Math.round((value ?? NaN) * 100) / 100;
}
