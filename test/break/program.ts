import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { startCli } from '../cli/run.js';
import type { Probe } from './probe.js';

const PROBE = new URL('./probe.js', import.meta.url).href;
const START_MS = 60_000;
const END_MS = 30_000;

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** It did not end in time and was killed. */
  hung: boolean;
}

const SETTINGS = { REELFUSE_PORT: '0', REELFUSE_LOG_LEVEL: 'error', REELFUSE_EXECUTION_PROVIDERS: 'cpu', REELFUSE_RECOMMENDER_WORKERS: '1' };

/** Runs a command to its end, at most so long. */
export async function runProgram(args: readonly string[], environment: Record<string, string>, timeoutMs = START_MS): Promise<Ended> {
  return endOf(startCli(args, { ...SETTINGS, ...environment }), timeoutMs);
}

/** Waits for the end of a process, at most so long. */
export async function endOf(child: ChildProcess, timeoutMs: number): Promise<Ended> {
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  clearTimeout(timer);
  return { code, signal, stdout, stderr, hung };
}

/** Exit codes that docs/cli.md describes, without that of internal errors. */
const DOCUMENTED = new Set([0, 1, 2, 3, 74, 130, 143]);

/** What is not orderly about the end of a command; null: all is. */
export function disorderOf({ code, signal, stderr, hung }: Ended): string | null {
  if (hung) return `hung: ${stderr.slice(0, 200)}`;
  if (signal !== null) return `ended by ${signal}`;
  if (code === null || !DOCUMENTED.has(code)) return `ended with ${code}: ${stderr.slice(0, 300)}`;
  if (/^\s+at .+[:(]/m.test(stderr)) return `printed a stack: ${stderr.slice(0, 300)}`;
  if (code >= 2 && stderr.trim() === '') return `ended with ${code} and said nothing`;
  if (code >= 2 && stderr.trim().split('\n').length > 3)
    return `ended with ${code} and ${stderr.trim().split('\n').length} lines: ${stderr.slice(0, 300)}`;
  return null;
}

export interface RunningServer {
  url: string;
  port: number;
  pid: number;
  isAlive(): boolean;
  output(): string;
  /** Ends the process. @returns how it ended */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended>;
  /** How it ended by itself. */
  ended: Promise<Ended>;
  /** Figures since the last reading. */
  probe(): Promise<Probe>;
  /** Number of open sockets. */
  sockets(): number;
  /** Highest resident memory since the last reading, bytes. */
  peakMemory(): number;
}

/** A server of its own process on a free loopback port. Resolves to how the process ended where it does not get ready. */
export async function startProgram(folder: string, environment: Record<string, string>): Promise<RunningServer | Ended> {
  const socket = `${folder}/probe-${Math.random().toString(36).slice(2, 8)}`;
  const child = startCli(['serve'], { ...SETTINGS, NODE_OPTIONS: `--import=${PROBE}`, BREAK_PROBE: socket, ...environment });
  const pid = child.pid ?? 0;
  let output = '';
  let alive = true;
  let isReady: (url: string) => void = () => undefined;
  const ready = new Promise<string>((resolve) => (isReady = resolve));
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece: Buffer) => {
      output = (output + piece.toString()).slice(-200_000);
      const url = /listens on (\S+)/.exec(output)?.[1];
      if (url !== undefined && output.includes('is ready')) isReady(url);
    });
  let hung = false;
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    alive = false;
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, stdout: '', stderr: output, hung };
  });
  const killLater = (ms: number): NodeJS.Timeout =>
    setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, ms);
  const timer = killLater(START_MS);
  const url = await Promise.race([ready, ended]);
  clearTimeout(timer);
  if (typeof url !== 'string') return url;
  return {
    url,
    port: Number(new URL(url).port),
    pid,
    isAlive: () => alive,
    output: () => output,
    ended,
    end: async (signal) => {
      child.kill(signal);
      const last = killLater(END_MS);
      const how = await ended;
      clearTimeout(last);
      return how;
    },
    probe: async () => {
      const connection = connect(socket);
      return JSON.parse(await text(connection)) as Probe;
    },
    sockets: () =>
      readdirSync(`/proc/${pid}/fd`).filter((name) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:');
        } catch {
          return false; // closed meanwhile
        }
      }).length,
    peakMemory: () => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      writeFileSync(`/proc/${pid}/clear_refs`, '5'); // the next peak begins here
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
    },
  };
}

/** @throws Error with its output when the server does not get ready */
export async function startReady(folder: string, environment: Record<string, string>): Promise<RunningServer> {
  const server = await startProgram(folder, environment);
  if (!('url' in server)) throw new Error(`the server ended with ${server.code ?? server.signal}: ${server.stderr.trim().slice(0, 2000)}`);
  return server;
}
