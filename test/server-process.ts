import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Pool } from 'undici';
import { floatsOf } from '../src/model/safetensors.js';
import { packageFile } from '../src/package-root.js';
import { clip, demoStates } from './build.js';

export interface Server {
  url: string;
  pid: number;
  /** Seconds from the start of the process to "ready". */
  startSeconds: number;
  /** What it has written; all of it only after its end. */
  output(): string;
  call(method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown, type?: string): Promise<Answer>;
  /** Ends the process and waits for its end. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface Answer {
  status: number;
  // figures and ids of our own API, read by name
  body: Record<string, never> & { [name: string]: unknown };
}

/** A server process of its own on a free loopback port, as a user would start it. @throws Error with its output when it does not come up */
export async function startServer(dataDir: string, environment: Record<string, string> = {}): Promise<Server> {
  const started = performance.now();
  const child: ChildProcess = spawn(process.execPath, [packageFile('dist', 'src', 'main.js'), 'serve'], {
    env: {
      PATH: '/usr/bin:/bin',
      REELFUSE_PORT: '0',
      REELFUSE_DATA_DIR: dataDir,
      REELFUSE_LOG_LEVEL: 'error',
      REELFUSE_EXECUTION_PROVIDERS: 'cpu',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close'); // when its output is read to the end too
  let output = '';
  child.stdout?.on('data', (text: Buffer) => (output += text.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    let listening = '';
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      output += `${line}\n`;
      listening = /listens on (\S+)/.exec(line)?.[1] ?? listening;
      if (line.includes('is ready')) resolve(listening);
    });
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code}: ${output.trim()}`)));
  });
  const pool = new Pool(url, { connections: 64 });
  return {
    url,
    pid: child.pid ?? 0,
    startSeconds: (performance.now() - started) / 1000,
    output: () => output,
    call: async (method, path, body, type = 'application/json') => {
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const headers = body === undefined ? {} : { 'content-type': type };
      const answer = await pool.request({ method, path, headers, ...(text !== undefined && { body: text as string }) });
      return { status: answer.statusCode, body: (await answer.body.json()) as Answer['body'] };
    },
    end: async (signal) => {
      child.kill(signal);
      await ended;
      await pool.destroy();
    },
  };
}

/** Of values in milliseconds, rounded to microseconds. */
export function percentiles(values: readonly number[]): { n: number; p50: number; p99: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN) * 1000) / 1000;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Hidden states between those of two demo clips, so that fused vectors spread as real ones do. */
export function mixedStates(): { dtype: 'float32'; shape: [number, number]; data: string } {
  const [a, b] = [0, 1].map(() => demoStates(clip(1 + Math.floor(Math.random() * 1000))));
  const [first, second] = [a, b].map((states) => floatsOf(Buffer.from(states?.data ?? '', 'base64'), 'F16'));
  const values = first?.map((value, at) => 0.7 * value + 0.3 * (second?.[at] ?? 0)) ?? new Float32Array(0);
  return { dtype: 'float32', shape: [a?.shape[0] ?? 0, a?.shape[1] ?? 0], data: Buffer.from(values.buffer).toString('base64') };
}

/** Hidden states of random values as they travel in JSON, at the demo model's shape. */
export function randomStates(layers = 7, width = 384): { dtype: 'float32'; shape: [number, number]; data: string } {
  const values = Float32Array.from({ length: layers * width }, () => Math.random() - 0.5);
  return { dtype: 'float32', shape: [layers, width], data: Buffer.from(values.buffer).toString('base64') };
}
