import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { packageFile } from '../src/package-root.js';
import { openLimit, type Limit } from './limit.js';
import { EMBEDS_ALWAYS, freePort, importData, startPrepared } from './prepared.js';
import { load, startProgram, type Load, type Running } from './processes.js';

const HNSW = { m: 16, efConstruction: 200, ef: 128 };
/** Each user's first request finds nothing in memory, neither here nor in the page cache: warm is who has seen all of them. */
const USERS = 10_000;
const WARM_SECONDS = 2;
const WARM_ROUNDS = 5;
const RECALL_USERS = 300;
const RECALL_TOGETHER = [1, 32];
const K = 20;
const PEER = packageFile('bench', 'peer');
const SCRIPT = join(PEER, 'load.lua');

/** What is measured: its process, where requests go, and with which bodies. */
interface Variant {
  name: string;
  bodies: 'requests_user.jsonl' | 'requests_history.jsonl';
  path: string;
  start(data: string, port: number): Promise<Running>;
}

const ONE_THREAD = { OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1' };

const own = (name: string, bodies: Variant['bodies'], extra: Record<string, string> = {}): Variant => ({
  name,
  bodies,
  path: '/v1/recommendations',
  start: (data, port) => startPrepared(data, port, extra),
});

const peerA = (venv: string): Variant => ({
  name: 'A',
  bodies: 'requests_user.jsonl',
  path: '/recommend',
  start: (data, port) => {
    const options = [
      '--loop',
      'uvloop',
      '--http',
      'httptools',
      '--no-access-log',
      '--log-level',
      'warning',
      '--workers',
      '2',
      '--port',
      String(port),
    ];
    const environment = { DATA: data, ...ONE_THREAD };
    return startProgram(join(venv, 'bin', 'python'), ['-m', 'uvicorn', ...options, 'peer:app'], environment, `http://127.0.0.1:${port}/ready`, PEER);
  },
});

const peerC = (venv: string): Variant => ({
  name: 'C',
  bodies: 'requests_user.jsonl',
  path: '/recommend',
  start: (data, port) =>
    startProgram(
      join(venv, 'bin', 'python'),
      [join(PEER, 'peer_fast.py')],
      { DATA: data, PORT: String(port), ...ONE_THREAD },
      `http://127.0.0.1:${port}/ready`,
      PEER,
    ),
});

const BARE: Variant = {
  name: 'bare',
  bodies: 'requests_user.jsonl',
  path: '/v1/recommendations',
  start: (_, port) => startProgram(process.execPath, [packageFile('dist', 'bench', 'bare.js'), String(port)], {}, `http://127.0.0.1:${port}/readyz`),
};

async function warm(environment: { BODIES: string }, url: string, pid: number): Promise<void> {
  let asked = 0;
  for (let round = 0; round < WARM_ROUNDS && asked < USERS; round++)
    asked += (await load(SCRIPT, environment, url, pid, 32, WARM_SECONDS)).rate * WARM_SECONDS;
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
};

interface Row {
  catalogue: string;
  variant: string;
  connections: number;
  /** Medians over the repeats. */
  requests_per_s: number;
  lowest: number;
  highest: number;
  p50_ms: number;
  p99_ms: number;
  p999_ms: number;
  cpu_us: number;
  others_percent: number;
  memory_mib: number;
  errors: number;
}

function rowOf(catalogue: string, variant: string, connections: number, loads: readonly Load[]): Row {
  const of = (key: keyof Load): number => median(loads.map((one) => one[key]));
  const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
  const rates = loads.map(({ rate }) => rate);
  return {
    catalogue,
    variant,
    connections,
    requests_per_s: round(of('rate')),
    lowest: round(Math.min(...rates)),
    highest: round(Math.max(...rates)),
    p50_ms: round(of('p50'), 2),
    p99_ms: round(of('p99'), 2),
    p999_ms: round(of('p999'), 2),
    cpu_us: round(of('cpu')),
    others_percent: round(of('others')),
    memory_mib: round(of('memory')),
    errors: loads.reduce((sum, { errors }) => sum + errors, 0),
  };
}

/**
 * Recall@20 of what a variant answers against the exact answer of our server, over the first users of the load. Requests of a round go
 * out together, as a server may answer a batch by other means than a single request.
 */
async function recall(variant: Variant, url: string, exactUrl: string, data: string, together: number): Promise<number> {
  const ask = async (to: string, body: object): Promise<string[]> => {
    const answer = await fetch(to, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    return ((await answer.json()) as { items: { item_id: string }[] }).items.map(({ item_id: id }) => id);
  };
  const bodies = readFileSync(join(data, variant.bodies), 'utf8')
    .split('\n', RECALL_USERS)
    .map((line) => JSON.parse(line) as object);
  let found = 0;
  for (let from = 0; from < bodies.length; from += together) {
    const round = bodies.slice(from, from + together);
    const truths = await Promise.all(round.map((body) => ask(exactUrl, { ...body, exact: true })));
    const answers = await Promise.all(round.map((body) => ask(url, body)));
    truths.forEach((truth, n) => (found += answers[n]?.filter((id) => truth.includes(id)).length ?? 0));
  }
  return Number((found / (bodies.length * K)).toFixed(4));
}

const heading = [
  'catalogue',
  'variant',
  'connections',
  'requests/s (lowest to highest)',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'CPU µs',
  'others %',
  'PSS MiB',
];

const table = (rows: readonly Row[]): string =>
  [
    `| ${heading.join(' | ')} |`,
    `|${'---|'.repeat(heading.length)}`,
    ...rows.map(
      (row) =>
        `| ${row.catalogue} | ${row.variant} | ${row.connections} | ${row.requests_per_s} (${row.lowest} to ${row.highest})${row.errors > 0 ? `, ${row.errors} errors` : ''} ` +
        `| ${row.p50_ms} | ${row.p99_ms} | ${row.p999_ms} | ${row.cpu_us} | ${row.others_percent} | ${row.memory_mib} |`,
    ),
  ].join('\n');

interface Plan {
  catalogues: string[];
  connections: number[];
  repeats: number;
  seconds: number;
  variants: Variant[];
}

/**
 * reelfuse-history: the history comes in the request; reelfuse-uncached: histories are read from the database every time;
 * reelfuse-vectors: user vectors are kept, as by default.
 */
function planOf(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>, venv: string): Plan {
  const list = (name: string, fallback: string): string[] => (text.get(name) ?? fallback).split(',');
  const quick = options.has('quick');
  const stored = 'requests_user.jsonl' as const;
  const all = [
    peerA(venv),
    peerC(venv),
    own('reelfuse', stored, EMBEDS_ALWAYS),
    own('reelfuse-history', 'requests_history.jsonl', EMBEDS_ALWAYS),
    own('reelfuse-uncached', stored, { ...EMBEDS_ALWAYS, REELFUSE_HISTORY_CACHE_ITEMS: '0' }),
    own('reelfuse-vectors', stored),
    BARE,
  ];
  const names = new Set(list('variants', quick ? 'A,C,reelfuse,bare' : all.map(({ name }) => name).join(',')));
  return {
    catalogues: list('catalogues', quick ? '20000x64' : '20000x64,100000x64,20000x256,100000x256'),
    connections: list('connections', quick ? '32' : '1,8,32,64,256').map(Number),
    repeats: options.get('repeats') ?? 3,
    seconds: options.get('seconds') ?? (quick ? 4 : 6),
    variants: all.filter(({ name }) => names.has(name)),
  };
}

/** Ratios at 32 connections of the first catalogue, what the targets speak of. */
function ratiosOf(rows: readonly Row[], catalogue: string, limit: Limit): Record<string, number | null> {
  const at = (variant: string): Row | undefined =>
    rows.find((row) => row.catalogue === catalogue && row.connections === 32 && row.variant === variant);
  const mine = at('reelfuse');
  const [a, c, bare] = [at('A'), at('C'), at('bare')];
  const ratio = (value: number | undefined, by: number | undefined): number | null =>
    value === undefined || by === undefined ? null : Number((value / by).toFixed(3));
  return {
    throughput_vs_a: ratio(mine?.requests_per_s, a?.requests_per_s),
    throughput_vs_c: ratio(mine?.requests_per_s, c?.requests_per_s),
    p99_vs_c: ratio(mine?.p99_ms, c?.p99_ms),
    cpu_vs_c: ratio(mine?.cpu_us, c?.cpu_us),
    // the machine is full at 32 connections, so the rates that are possible go with the CPU time that a request needs
    of_limit: ratio(bare === undefined ? undefined : limit.tower + limit.search + bare.cpu_us, mine?.cpu_us),
  };
}

/**
 * Our server, the two Python peers, bare Fastify and the in-process limit, taking turns on this machine.
 * --quick; --json FILE; --catalogues 20000x64,… --connections 1,8,… --variants A,C,reelfuse --repeats 3 --seconds 6 --data FOLDER
 */
export async function serving(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const folder = resolve(text.get('data') ?? packageFile('data', 'bench'));
  const plan = planOf(options, text, join(folder, 'venv'));
  execFileSync(join(PEER, 'setup.sh'), [folder, ...plan.catalogues], { stdio: ['ignore', 'inherit', 'inherit'] });
  const rows: Row[] = [];
  const limits: Record<string, Limit> = {};
  const recalls: Record<string, Record<string, Record<number, number>>> = {};
  for (const catalogue of plan.catalogues) {
    const data = join(folder, catalogue);
    await importData(data);
    const measured = await openLimit(data, HNSW);
    const taken: Limit[] = [];
    const loads = new Map<string, Load[]>();
    for (let repeat = 0; repeat < plan.repeats; repeat++) {
      taken.push(await measured());
      const running: { variant: Variant; program: Running; url: string }[] = [];
      try {
        for (const variant of plan.variants) {
          const port = await freePort();
          const url = `http://127.0.0.1:${port}${variant.path}`;
          running.push({ variant, program: await variant.start(data, port), url });
        }
        for (const { variant, program, url } of running) await warm({ BODIES: join(data, variant.bodies) }, url, program.pid);
        for (const connections of plan.connections) {
          for (const { variant, program, url } of running) {
            const one = await load(SCRIPT, { BODIES: join(data, variant.bodies) }, url, program.pid, connections, plan.seconds);
            process.stderr.write(
              `${catalogue} ${variant.name} c ${connections}: ${one.rate.toFixed(0)}/s p99 ${one.p99.toFixed(1)} ms, ${one.cpu.toFixed(0)} µs\n`,
            );
            const key = `${connections} ${variant.name}`;
            loads.set(key, [...(loads.get(key) ?? []), one]);
          }
        }
        const exact = running.find(({ variant }) => variant.name === 'reelfuse')?.url;
        if (repeat === 0 && exact !== undefined) {
          recalls[catalogue] = {};
          for (const { variant, url } of running.filter(({ variant }) => variant !== BARE)) {
            const of: Record<number, number> = (recalls[catalogue][variant.name] = {});
            for (const together of RECALL_TOGETHER) of[together] = await recall(variant, url, exact, data, together);
          }
        }
      } finally {
        for (const { program } of running.reverse()) await program.stop();
      }
    }
    limits[catalogue] = { tower: median(taken.map(({ tower }) => tower)), search: median(taken.map(({ search }) => search)) };
    for (const connections of plan.connections)
      for (const { name } of plan.variants) rows.push(rowOf(catalogue, name, connections, loads.get(`${connections} ${name}`) ?? []));
  }
  const [first = ''] = plan.catalogues;
  const result = {
    machine: `${availableParallelism()} × ${cpus()[0]?.model ?? '?'}, Node ${process.versions.node}`,
    ratios: ratiosOf(rows, first, limits[first] ?? { tower: NaN, search: NaN }),
    in_process_limit_us: limits,
    recall_at_20: recalls,
    rows,
  };
  process.stderr.write(`${table(rows)}\n`);
  const file = text.get('json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
