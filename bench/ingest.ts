import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type ClientRequest } from 'node:http';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { demoFile } from '../src/generations/model-choice.js';
import { packageFile } from '../src/package-root.js';
import { clip, demoStates } from '../test/build.js';
import { residentMib, table } from './load.js';
import { prepareModel } from './prepared.js';
import { cpuSeconds, load } from './processes.js';
import { startServer, type Server } from '../test/server-process.js';

const WIDE = { layers: 29, width: 3584, dim: 64 };
/** Different hidden states; items beyond that repeat them. */
const STATES = 64;
const SAMPLE_MS = 100;
const EVENT_BATCHES = [1, 100, 1000];

interface Rows {
  model: string;
  shape: string;
  /** Hidden states of item n, as JSON. */
  states: (n: number) => string;
}

const demoRows: Rows = { model: demoFile('artifact'), shape: '7 × 384', states: (n) => JSON.stringify(demoStates(clip(1 + (n % 1000)))) };

/** A model of the size of a 7B video language model, made once, and random hidden states in float16. */
function wideRows(folder: string): Rows {
  const model = prepareModel(folder, WIDE.layers, WIDE.width, WIDE.dim);
  const pool = Array.from({ length: STATES }, () => {
    // sign, an exponent that means 0.5 to 2, ten random bits
    const halves = Uint16Array.from(
      { length: WIDE.layers * WIDE.width },
      () => ((Math.random() * 2) << 15) | ((14 + Math.random() * 2) << 10) | (Math.random() * 1024),
    );
    const data = Buffer.from(halves.buffer).toString('base64');
    return JSON.stringify({ dtype: 'float16', shape: [WIDE.layers, WIDE.width], data });
  });
  return { model, shape: `${WIDE.layers} × ${WIDE.width}`, states: (n) => pool[n % STATES] as string }; // n % length
}

async function countLanded(sending: ClientRequest): Promise<number> {
  const [response] = (await once(sending, 'response')) as [NodeJS.ReadableStream];
  let landed = 0;
  for await (const line of createInterface({ input: response })) if ((JSON.parse(line) as { status: number }).status === 201) landed++;
  return landed;
}

/** One NDJSON upload, answered line by line. @returns how many rows landed */
async function upload(url: string, first: number, end: number, step: number, { states }: Rows): Promise<number> {
  const sending = request(`${url}/v1/items/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' },
  });
  const landed = countLanded(sending); // read while sending: with its results unread the stream would halt
  for (let n = first; n < end; n += step) {
    const head = `{"item_id":"upload-${n}","title":"clip ${n}","author_id":"a${n % 97}","attributes":{"topic":"t${n % 8}"},"hidden_states":`;
    if (!sending.write(`${head}${states(n)}}\n`)) await once(sending, 'drain');
  }
  sending.end();
  return landed;
}

interface Ingested {
  shape: string;
  connections: number;
  items: number;
  /** Rows that were not answered 201. */
  failed: number;
  items_per_s: number;
  /** Of hidden states, as they are stored. */
  mib_per_s: number;
  server_cpu_us: number;
  /** Of one core, of the program that sends. */
  sender_cores: number;
  /** After each quarter of the time, and the most. */
  rss_mib: { start: number; quarters: number[]; most: number };
}

async function measureItems(rows: Rows, items: number, connections: number): Promise<Ingested> {
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-ingest-'));
  const server = await startServer(join(folder, 'data'), { REELFUSE_MODEL_DIR: rows.model, REELFUSE_RECALL_CHECK_SECONDS: '0' });
  try {
    await upload(server.url, 0, 300, 1, rows); // engines warm up
    const samples = [residentMib(server.pid)];
    const timer = setInterval(() => samples.push(residentMib(server.pid)), SAMPLE_MS);
    const own = process.cpuUsage();
    const cpu = cpuSeconds(server.pid);
    const began = performance.now();
    const parts = Array.from({ length: connections }, (_, n) => upload(server.url, 300 + n, 300 + items, connections, rows));
    const landed = (await Promise.all(parts)).reduce((sum, count) => sum + count, 0);
    const seconds = (performance.now() - began) / 1000;
    clearInterval(timer);
    samples.push(residentMib(server.pid));
    const { user, system } = process.cpuUsage(own);
    const bytes = Buffer.byteLength((JSON.parse(rows.states(0)) as { data: string }).data, 'base64');
    return {
      shape: rows.shape,
      connections,
      items,
      failed: items - landed,
      items_per_s: Math.round(landed / seconds),
      mib_per_s: Math.round((landed * bytes) / seconds / 2 ** 20),
      server_cpu_us: Math.round(((cpuSeconds(server.pid) - cpu) / landed) * 1e6),
      sender_cores: Number(((user + system) / 1e6 / seconds).toFixed(2)),
      rss_mib: {
        start: samples[0] ?? NaN,
        quarters: [1, 2, 3, 4].map((quarter) => samples[Math.ceil((quarter * (samples.length - 1)) / 4)] ?? NaN),
        most: Math.max(...samples),
      },
    };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Posted {
  events_a_call: number;
  connections: number;
  events_per_s: number;
  p50_ms: number;
  p99_ms: number;
  server_cpu_us: number;
  errors: number;
  rss_mib: number;
}

async function measureEvents(server: Server, size: number, connections: number, seconds: number): Promise<Posted> {
  const environment = { EVENTS: String(size), RUN: `${size}-${connections}` };
  const one = await load(packageFile('bench', 'peer', 'events.lua'), environment, `${server.url}/v1/events`, server.pid, connections, seconds);
  return {
    events_a_call: size,
    connections,
    events_per_s: Math.round(one.rate * size),
    p50_ms: one.p50,
    p99_ms: one.p99,
    server_cpu_us: Number((one.cpu / size).toFixed(1)),
    errors: one.errors,
    rss_mib: residentMib(server.pid),
  };
}

async function eventRows(connections: readonly number[], seconds: number): Promise<Posted[]> {
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-events-'));
  const server = await startServer(join(folder, 'data'), { REELFUSE_RECALL_CHECK_SECONDS: '0' });
  try {
    await measureEvents(server, 10, 8, 1); // warm
    const rows: Posted[] = [];
    for (const size of EVENT_BATCHES) for (const count of connections) rows.push(await measureEvents(server, size, count, seconds));
    return rows;
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Items a second through the batch endpoint and durable events a second.
 * --items 20000 --wide-items 3000 --connections 1,4 --event-connections 1,8,64 --seconds 4 --json FILE --data FOLDER
 */
export async function ingest(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const folder = resolve(text.get('data') ?? packageFile('data', 'bench'));
  const list = (name: string, fallback: string): number[] => (text.get(name) ?? fallback).split(',').map(Number);
  const connections = list('connections', '1,4');
  const sizes: [Rows, number][] = [
    [demoRows, options.get('items') ?? 20_000],
    [wideRows(folder), options.get('wide-items') ?? 3000],
  ];
  const items: Ingested[] = [];
  for (const [rows, count] of sizes) if (count > 0) for (const several of connections) items.push(await measureItems(rows, count, several));
  const events = await eventRows(list('event-connections', '1,8,64'), options.get('seconds') ?? 4);
  const itemTable = table(
    ['hidden states', 'connections', 'items/s', 'MiB/s', 'server CPU µs', 'sender cores', 'RSS MiB at start, quarters', 'most', 'failed'],
    items.map((row) => [
      row.shape,
      row.connections,
      row.items_per_s,
      row.mib_per_s,
      row.server_cpu_us,
      row.sender_cores,
      [row.rss_mib.start, ...row.rss_mib.quarters].join(', '),
      row.rss_mib.most,
      row.failed,
    ]),
  );
  const eventTable = table(
    ['events a call', 'connections', 'events/s', 'p50 ms', 'p99 ms', 'server CPU µs an event', 'RSS MiB', 'errors'],
    events.map((row) => [row.events_a_call, row.connections, row.events_per_s, row.p50_ms, row.p99_ms, row.server_cpu_us, row.rss_mib, row.errors]),
  );
  process.stderr.write(`${itemTable}\n\n${eventTable}\n`);
  const result = { machine: `${availableParallelism()} × ${cpus()[0]?.model ?? '?'}, Node ${process.versions.node}`, items, events };
  const file = text.get('json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
