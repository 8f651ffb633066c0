import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Kernel clock ticks a second, as /proc counts CPU time. */
const TICKS = 100;
/** A first start builds the graph: of 100,000 vectors of 256 numbers that takes minutes. */
const READY_SECONDS = 600;
const STOP_MS = 5000;

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return []; // it has ended
  }
}

export const processTree = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(processTree)];

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** CPU seconds of a process and all its descendants. */
export const cpuSeconds = (pid: number): number =>
  processTree(pid).reduce((sum, member) => {
    const fields = read(`/proc/${member}/stat`).replace(/.*\) /, '').split(' ');
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS;
  }, 0);

/** CPU seconds that the whole machine was not idle, the hypervisor's share included. */
export function busySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, steal = 0] = (read('/proc/stat').split('\n')[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + interrupts + soft + steal) / TICKS;
}

/** @returns a function that tells the share of all cores, in %, that went to neither this process nor its children since */
export function watchOthers(): () => number {
  const before = { own: cpuSeconds(process.pid), busy: busySeconds(), at: performance.now() };
  return () => {
    const others = busySeconds() - before.busy - (cpuSeconds(process.pid) - before.own);
    return (others / ((performance.now() - before.at) / 1000) / availableParallelism()) * 100;
  };
}

/** Proportional set size of a process and its descendants, MiB: memory that they share counts once. */
export const memoryMib = (pid: number): number =>
  Math.round(processTree(pid).reduce((sum, member) => sum + Number(/^Pss: +(\d+)/m.exec(read(`/proc/${member}/smaps_rollup`))?.[1] ?? 0), 0) / 1024);

export interface Load {
  rate: number;
  p50: number;
  p99: number;
  p999: number;
  errors: number;
  /** CPU microseconds of the server for one request. */
  cpu: number;
  /** Share of all cores that went to neither the server nor the load generator, %. */
  others: number;
  memory: number;
}

/** wrk on one thread against a process: closed loop, keep-alive. @param environment what the script is told */
export async function load(
  script: string,
  environment: Record<string, string>,
  url: string,
  pid: number,
  connections: number,
  seconds: number,
): Promise<Load> {
  const before = { cpu: cpuSeconds(pid), busy: busySeconds(), at: performance.now() };
  const command = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url];
  const child = spawn('bash', ['-c', 'time -p "$@"', 'bash', ...command], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  await once(child, 'close');
  const cpu = cpuSeconds(pid) - before.cpu;
  const wall = (performance.now() - before.at) / 1000;
  const numbers = /RESULT (.*)/.exec(output)?.[1]?.split(' ').map(Number);
  if (numbers === undefined) throw new Error(`wrk: ${output.trim()}`);
  const [rate = 0, p50 = 0, p99 = 0, p999 = 0, errors = 0] = numbers;
  const wrk = [...output.matchAll(/^(?:user|sys) ([\d.]+)/gm)].reduce((sum, [, time]) => sum + Number(time), 0);
  const others = (busySeconds() - before.busy - cpu - wrk) / wall / availableParallelism();
  return { rate, p50, p99, p999, errors, cpu: (cpu / (rate * seconds)) * 1e6, others: others * 100, memory: memoryMib(pid) };
}

export interface Running {
  pid: number;
  stop(): Promise<void>;
}

/** Starts a program and waits until the URL answers. Ends it, by its own pid, with `stop`. @throws Error with its output */
export async function startProgram(
  command: string,
  args: readonly string[],
  environment: Record<string, string>,
  readyUrl: string,
  folder?: string,
): Promise<Running> {
  const child: ChildProcess = spawn(command, args, {
    env: { PATH: process.env.PATH, ...environment },
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr?.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-4000)));
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  };
  for (let tries = 0; tries < READY_SECONDS * 10; tries++) {
    if (child.exitCode !== null) throw new Error(`${command} ended with code ${child.exitCode}: ${output.trim()}`);
    const answer = await fetch(readyUrl).catch(() => null);
    if (answer?.ok === true) return { pid: child.pid ?? 0, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`${command} was not ready after ${READY_SECONDS} s: ${output.trim()}`);
}
