import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { packageFile } from '../src/package-root.js';
import { residentMib, table, timesOf, type Times } from './load.js';
import type { OpenLoopPlan, OpenLoopResult } from './open-loop.js';
import { EMBEDS_ALWAYS, freePort, importData, startPrepared } from './prepared.js';
import { busySeconds, cpuSeconds, load } from './processes.js';

const PATH = '/v1/recommendations';
const CLOSED_LOOP_CONNECTIONS = [32, 64, 128];
const WARM_SECONDS = 1;
/** Shares of the closed loop's rate that are offered to find the peak. */
const STEPS = [0.7, 0.8, 0.9, 1];
const CALM_MS = 2000;
const PROBE = '{"user_id": "u7", "k": 20}';
const PROBE_EVERY_MS = 10;
/** So many probes in a row say whether latency is normal. */
const PROBES = 10;
/** Probes go on for so long after the load. */
const AFTER_MS = 2000;

interface Probe {
  /** Milliseconds since 1970. */
  at: number;
  ms: number;
  status: number;
}

/** One request every 10 ms, or as soon as the last one is answered. Not beside the load, of which it would take a share. */
async function probe(url: string, body: string, forMs: number): Promise<Probe[]> {
  const probes: Probe[] = [];
  const until = Date.now() + forMs;
  for (let at = Date.now(); at < until; at = Date.now()) {
    const sent = performance.now();
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await answer.arrayBuffer();
    const ms = performance.now() - sent;
    probes.push({ at, ms, status: answer.status });
    await pause(Math.max(0, PROBE_EVERY_MS - ms));
  }
  return probes;
}

/** Until the first of ten probes in a row that were answered, half of them no slower than the slowest percent before the load. */
function recoverySeconds(probes: readonly Probe[], endedAt: number, normalMs: number): number | null {
  for (let first = 0; first + PROBES <= probes.length; first++) {
    const window = probes.slice(first, first + PROBES);
    const isNormal = window.every(({ status }) => status === 200) && timesOf(window.map(({ ms }) => ms)).p50 <= normalMs;
    if (isNormal) return ((window[0] as Probe).at - endedAt) / 1000; // as many as asked
  }
  return null;
}

/** Resident set every 100 ms until stopped, MiB. */
function watchMemory(pid: number): () => number[] {
  const samples = [residentMib(pid)];
  const timer = setInterval(() => samples.push(residentMib(pid)), 100);
  return () => {
    clearInterval(timer);
    return samples;
  };
}

async function offer(plan: OpenLoopPlan): Promise<OpenLoopResult> {
  const program = packageFile('dist', 'bench', 'open-loop.js');
  const { stdout } = await promisify(execFile)(process.execPath, [program, JSON.stringify(plan)], { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as OpenLoopResult;
}

type Answers = OpenLoopResult['answers'];
const countOf = (answers: Answers): number => answers.reduce((sum, { n }) => sum + n, 0);
const isServed = ({ status }: Answers[0]): boolean => status === 200;
const isRefused = ({ status }: Answers[0]): boolean => status === 429 || status === 503;
/** Of several kinds together: medians cannot be added, so the largest stands for all. */
const slowest = (answers: Answers): Times => ({
  p50: Math.max(...answers.map(({ times }) => times.p50)),
  p99: Math.max(...answers.map(({ times }) => times.p99)),
  max: Math.max(...answers.map(({ times }) => times.max)),
});

interface Round {
  /** Requests a second of a closed loop. */
  closed_loop: number;
  /** Most goodput of the same generator at any lower rate. */
  peak: number;
  offered: number;
  /** 200 within the deadline, where there is one. */
  goodput: number;
  goodput_of_peak: number;
  /** Of what was answered 200, by the fallback ranking because the deadline came first. */
  fallback_share: number;
  accepted_ms: Times;
  accepted_with_deadline_ms: Times;
  late: number;
  refused: Record<string, number>;
  refused_ms: Times;
  refused_without_retry_after: number;
  other_answers: number;
  broken: number;
  unsent: number;
  rss_mib: { before: number; most: number; after: number };
  recovery_s: number | null;
  server_cores: number;
  generator: { cores: number; lag_ms: Times };
  others_percent: number;
}

interface Target {
  data: string;
  port: number;
  pid: number;
}

const servedOf = ({ answers }: OpenLoopResult): Answers => answers.filter(isServed);
const lateOf = (served: Answers): number => served.reduce((sum, { late }) => sum + late, 0);
const goodputOf = (result: OpenLoopResult, seconds: number): number => (countOf(servedOf(result)) - lateOf(servedOf(result))) / seconds;

const planOf = ({ data, port }: Target, { deadlineMs, connections }: Plan, rate: number, seconds: number): OpenLoopPlan => ({
  port,
  path: PATH,
  bodies: join(data, 'requests_user.jsonl'),
  rate: Math.round(rate),
  seconds,
  deadlineMs,
  connections,
});

/** Requests a second answered in time, at the offered rate that gives most. */
async function peakGoodput(target: Target, closedLoop: number, plan: Plan): Promise<number> {
  const seconds = Math.max(1, Math.round(plan.seconds / STEPS.length));
  let most = 0;
  for (const step of STEPS) most = Math.max(most, goodputOf(await offer(planOf(target, plan, closedLoop * step, seconds)), seconds));
  return most;
}

async function overloadOnce(target: Target, peak: number, plan: Plan): Promise<Omit<Round, 'closed_loop' | 'peak' | 'goodput_of_peak'>> {
  const { port, pid } = target;
  const url = `http://127.0.0.1:${port}${PATH}`;
  const calm = await probe(url, PROBE, CALM_MS);
  const before = { cpu: cpuSeconds(pid), busy: busySeconds(), rss: residentMib(pid), at: performance.now() };
  const stopMemory = watchMemory(pid);
  const offered = Math.round(peak * plan.factor);
  const result = await offer(planOf(target, plan, offered, plan.seconds));
  const wall = (performance.now() - before.at) / 1000;
  const cpu = cpuSeconds(pid) - before.cpu;
  const busy = busySeconds() - before.busy;
  const most = Math.max(...stopMemory());
  const probes = await probe(url, PROBE, AFTER_MS);
  const normal = timesOf(calm.map(({ ms }) => ms)).p99;
  const { answers } = result;
  const served = servedOf(result);
  const refused = answers.filter(isRefused);
  return {
    offered,
    goodput: Math.round(goodputOf(result, plan.seconds)),
    fallback_share: Number((countOf(served.filter(({ fallback }) => fallback)) / Math.max(1, countOf(served))).toFixed(4)),
    accepted_ms: slowest(served.filter(({ deadline }) => !deadline)),
    accepted_with_deadline_ms: slowest(served.filter(({ deadline }) => deadline)),
    late: lateOf(served),
    refused: Object.fromEntries([429, 503].map((status) => [status, countOf(refused.filter((one) => one.status === status))])),
    refused_ms: slowest(refused),
    refused_without_retry_after: countOf(refused.filter(({ retryAfter }) => !retryAfter)),
    other_answers: countOf(answers) - countOf(served) - countOf(refused),
    broken: result.broken,
    unsent: result.unsent,
    rss_mib: { before: before.rss, most, after: residentMib(pid) },
    recovery_s: recoverySeconds(probes, result.endedAt, normal),
    server_cores: Number((cpu / wall).toFixed(2)),
    generator: { cores: result.cores, lag_ms: result.lag },
    others_percent: Math.round(((busy - cpu) / wall - result.cores) * (100 / availableParallelism())),
  };
}

interface Plan {
  factor: number;
  seconds: number;
  rounds: number;
  deadlineMs: number;
  connections: number;
}

/** Requests a second in a closed loop, at the number of connections that gives most. */
async function capacity({ data, port, pid }: Target, seconds: number): Promise<number> {
  const script = packageFile('bench', 'peer', 'load.lua');
  const rates: number[] = [];
  for (const connections of CLOSED_LOOP_CONNECTIONS) {
    const { rate } = await load(script, { BODIES: join(data, 'requests_user.jsonl') }, `http://127.0.0.1:${port}${PATH}`, pid, connections, seconds);
    rates.push(rate);
  }
  return Math.max(...rates);
}

const heading = [
  'offered/s',
  'closed loop/s',
  'peak/s',
  'goodput/s',
  'of peak',
  'accepted p50/p99 ms',
  'with deadline p50/p99 ms',
  'fallback',
  '503',
  'refused p50/p99 ms',
  'RSS MiB',
  'recovery s',
];

const rowOf = (round: Round): (string | number | null)[] => [
  round.offered,
  round.closed_loop,
  round.peak,
  round.goodput,
  round.goodput_of_peak,
  `${round.accepted_ms.p50} / ${round.accepted_ms.p99}`,
  `${round.accepted_with_deadline_ms.p50} / ${round.accepted_with_deadline_ms.p99}`,
  round.fallback_share,
  (round.refused[429] ?? 0) + (round.refused[503] ?? 0),
  `${round.refused_ms.p50} / ${round.refused_ms.p99}`,
  `${round.rss_mib.before}, ${round.rss_mib.most}, ${round.rss_mib.after}`,
  round.recovery_s,
];

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/**
 * Twice what a server process answers in time at most, offered at a fixed rate whatever the answers take. That peak is found by the same
 * generator, which takes its share of the machine: a closed loop is cheaper to drive, and so reaches more.
 * --catalogue 20000x64 --factor 2 --seconds 10 --rounds 3 --deadline 150 --connections 2048 --json FILE --data FOLDER
 */
export async function overload(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const folder = resolve(text.get('data') ?? packageFile('data', 'bench'));
  const catalogue = text.get('catalogue') ?? '20000x64';
  const plan: Plan = {
    factor: options.get('factor') ?? 2,
    seconds: options.get('seconds') ?? 10,
    rounds: options.get('rounds') ?? 3,
    deadlineMs: options.get('deadline') ?? 150,
    connections: options.get('connections') ?? 2048,
  };
  execFileSync(packageFile('bench', 'peer', 'setup.sh'), [folder, catalogue], { stdio: ['ignore', 'inherit', 'inherit'] });
  const data = join(folder, catalogue);
  await importData(data);
  const port = await freePort();
  const program = await startPrepared(data, port, EMBEDS_ALWAYS);
  const target: Target = { data, port, pid: program.pid };
  const closedSeconds = Math.max(1, Math.round(plan.seconds / CLOSED_LOOP_CONNECTIONS.length));
  const rounds: Round[] = [];
  try {
    await capacity(target, WARM_SECONDS);
    let before = await peakGoodput(target, await capacity(target, closedSeconds), plan);
    for (let n = 0; n < plan.rounds; n++) {
      const measured = await overloadOnce(target, before, plan);
      const closedLoop = await capacity(target, closedSeconds);
      const after = await peakGoodput(target, closedLoop, plan);
      // the machine's other work comes and goes: the peak is what was possible just before and just after
      const peak = Math.round((before + after) / 2);
      rounds.push({ closed_loop: closedLoop, peak, goodput_of_peak: Number((measured.goodput / peak).toFixed(3)), ...measured });
      process.stderr.write(`${JSON.stringify(rounds.at(-1))}\n`);
      before = after;
    }
  } finally {
    await program.stop();
  }
  const result = {
    machine: `${availableParallelism()} × ${cpus()[0]?.model ?? '?'}, Node ${process.versions.node}`,
    catalogue,
    deadline_ms: plan.deadlineMs,
    connections: plan.connections,
    goodput_of_peak: median(rounds.map(({ goodput_of_peak: share }) => share)),
    recovery_s: Math.max(...rounds.map(({ recovery_s: seconds }) => seconds ?? Infinity)),
    rounds,
  };
  process.stderr.write(`${table(heading, rounds.map(rowOf))}\n`);
  const file = text.get('json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
