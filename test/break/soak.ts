import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { clip, demoStates } from '../build.js';
import { writeOtherModel } from '../other-model.js';
import { startReady, type RunningServer } from './program.js';
import type { Row } from './table.js';
import type { Random, Trial } from './trial.js';

const MIB = 1024 * 1024;
const TICK_MS = 100;
/** Calls in a tick. */
const READS = 8;
const EVENTS = 2;
const ITEM_SHARE = 0.6;
const IDS = 2000;
const USERS = 500;
const SWAP_MINUTES = 2;
const MINUTES = 10;

interface Sums {
  sent: number;
  done: number;
  refused: number;
  swaps: number;
  ms: number[];
}

/**
 * Reads, writes, events and swaps at a bounded rate; a row a minute of what the process holds. `kill -USR2` of the server writes a heap
 * snapshot to the folder BREAK_HEAP_FOLDER. A round is a minute. `--only reads,events,items,swaps` names the parts of the load.
 */
export async function soak(trial: Trial): Promise<void> {
  const heaps = process.env.BREAK_HEAP_FOLDER ?? join(trial.folder, 'heaps');
  mkdirSync(heaps, { recursive: true });
  const model = join(trial.folder, 'model');
  await writeOtherModel(model, { version: 'other' });
  const server = await startReady(trial.folder, {
    REELFUSE_DATA_DIR: join(trial.folder, 'data'),
    BREAK_HEAP_FOLDER: heaps,
    REELFUSE_SNAPSHOT_MINUTES: '3',
  });
  trial.after(async () => void (await server.end('SIGTERM')));
  process.stderr.write(`server process ${server.pid}\n`);
  const pool = new Pool(server.url, { connections: 32 });
  trial.after(() => pool.destroy());
  const sums: Sums = { sent: 0, done: 0, refused: 0, swaps: 0, ms: [] };
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<Record<string, unknown>> => {
    const started = performance.now();
    sums.sent++;
    const reply = await pool.request({ method, path, ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) });
    const text = await reply.body.text();
    sums.ms.push(performance.now() - started);
    if (reply.statusCode < 300 || (method === 'DELETE' && reply.statusCode === 404)) sums.done++;
    else {
      sums.refused++;
      if (reply.statusCode !== 503 && reply.statusCode !== 409)
        trial.wrong(trial, `${method} ${path} was answered ${reply.statusCode} ${text.slice(0, 200)}`);
    }
    return JSON.parse(text) as Record<string, unknown>;
  };
  const fingerprints = [
    ((await call('GET', '/v1/models')).models as { fingerprint: string }[])[0]?.fingerprint ?? '',
    String((await call('POST', '/v1/models', { folder: model })).fingerprint),
  ];
  const has = (part: string): boolean => trial.only === null || trial.only.includes(part);
  let minute = 0;
  for (const { random } of trial.rounds(trial.isShort ? 0 : MINUTES)) {
    const end = performance.now() + 60_000;
    if (has('swaps') && minute > 0 && minute % SWAP_MINUTES === 0) {
      const next = fingerprints[++sums.swaps % 2] ?? '';
      void call('POST', `/v1/models/${next}/activate`);
    }
    while (performance.now() < end) {
      const turn = sleep(TICK_MS);
      tick(call, random, sums, has);
      await turn;
    }
    const row = await rowOf(++minute, server, sums);
    process.stderr.write(`${JSON.stringify(row)}\n`);
    trial.row(row);
  }
  trial.count('requests', sums.sent);
  trial.count('refused', sums.refused);
  trial.count('swaps', sums.swaps);
}

type Call = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => Promise<unknown>;

function tick(call: Call, random: Random, { sent }: Sums, has: (part: string) => boolean): void {
  const user = (): string => `soak-${random.below(USERS)}`;
  const item = (): string => clip(1 + random.below(1000));
  for (let n = 0; n < READS && has('reads'); n++)
    void call(
      'POST',
      '/v1/recommendations',
      random.chance(0.5) ? { user_id: user(), k: 20 } : { history: [item(), item()], k: 20, explain: n === 0 },
    );
  for (let n = 0; n < EVENTS && has('events'); n++) {
    const events = Array.from({ length: 5 }, (_, row) => ({
      event_id: `s${sent}-${n}-${row}`,
      user_id: user(),
      item_id: item(),
      type: row === 0 ? 'like' : 'impression',
      at: new Date().toISOString(),
    }));
    void call('POST', '/v1/events', { events });
  }
  if (has('items') && random.chance(ITEM_SHARE)) {
    const id = `soak-item-${random.below(IDS)}`;
    void (random.chance(0.1)
      ? call('DELETE', `/v1/items/${id}`)
      : call('PUT', `/v1/items/${id}`, { title: `t${sent}`, hidden_states: demoStates(item()) }));
  }
}

async function rowOf(minute: number, { pid, probe }: RunningServer, sums: Sums): Promise<Row> {
  const { memory, loop_ms: loop } = await probe();
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024);
  const mib = (bytes: number): number => Math.round(bytes / MIB);
  const sorted = sums.ms.splice(0).sort((a, b) => a - b);
  return {
    minute,
    'RSS MiB': field('VmRSS'),
    anonymous: field('RssAnon'),
    files: field('RssFile'),
    'heap used': mib(memory.heapUsed),
    'heap total': mib(memory.heapTotal),
    external: mib(memory.external),
    'array buffers': mib(memory.arrayBuffers),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    requests: sums.sent,
    swaps: sums.swaps,
    'p99 ms': Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0),
    'loop ms': Math.round(loop),
  };
}
