import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GRAPH, INDEXED, VECTORS } from '../src/maintenance/snapshots/snapshot-files.js';
import type { ScanRequest } from '../src/index/ann-index.js';
import { createExactIndex } from '../src/index/exact.js';
import { createHnswIndex } from '../src/index/hnsw.js';
import { MAX_ROWS, createScanIndex } from '../src/index/scan.js';
import { CHUNK_SLOTS, createVectorTable, makeChunk, type VectorTable } from '../src/index/vector-table.js';
import { packageFile } from '../src/package-root.js';
import { clusteredVectors, fillStore } from './catalogue.js';
import { residentMib, table } from './load.js';
import { prepareModel } from './prepared.js';
import { startServer } from '../test/server-process.js';

const HNSW = { m: 16, efConstruction: 200, ef: 128 };
const COUNT = 20;
/** An 8 kB vector each: beyond this the curve is known, and a run would take hours. */
const WIDEST = { dim: 2048, items: 100_000 };
const QUERIES = 64;
const WARM_QUERIES = 8;
const SEARCH_SECONDS = 1;
const USERS = 10;
const SERVER = {
  REELFUSE_LOG_LEVEL: 'info',
  REELFUSE_SNAPSHOT_MINUTES: '0',
  REELFUSE_RECOMMENDER_WORKERS: '1',
  REELFUSE_RECALL_CHECK_SECONDS: '0',
};
const NONE = new Int32Array(0);

interface Row {
  items: number;
  dim: number;
  /** Microseconds of CPU a query; a catalogue too large to be scanned has no figures of the scan. */
  hnsw_us: number;
  scan_us: number;
  scan_16_us: number;
  exact_us: number;
  hnsw_recall: number;
  scan_recall: number;
  /** Vectors from the store, graph built. */
  build_s: number;
  /** From a snapshot. */
  restart_s: number;
  /** Beyond an empty server's, after the restart. */
  rss_mib: number;
  bytes_an_item: number;
  /** bytes_an_item over the 4d bytes of the vector itself. */
  of_vector: number;
  snapshot_bytes_an_item: number;
}

interface Start {
  /** From the log: without the start of the process and the model's digests, which do not grow with the catalogue. */
  seconds: number;
  fromSnapshot: boolean;
  rss: number;
}

async function startOnce(dataDir: string, model: string): Promise<Start> {
  const server = await startServer(dataDir, { ...SERVER, REELFUSE_MODEL_DIR: model });
  const rss = residentMib(server.pid);
  await server.end('SIGTERM'); // writes a snapshot when there is none
  const line = /^.*"catalogue loaded".*$/m.exec(server.output())?.[0] ?? '{}';
  const { seconds = NaN, snapshot } = JSON.parse(line) as { seconds?: number; snapshot?: string };
  return { seconds, fromSnapshot: snapshot !== undefined, rss };
}

/** Vectors and graph of the newest snapshot, as a recommender has them. */
async function openSnapshot(folder: string, dim: number) {
  const floats = readFileSync(join(folder, VECTORS));
  const slots = new Int32Array(new Uint8Array(readFileSync(join(folder, INDEXED))).buffer);
  const vectors = createVectorTable(dim);
  const bytes = dim * Float32Array.BYTES_PER_ELEMENT;
  const vector = new Float32Array(dim);
  for (let slot = 0; slot * bytes < floats.length; slot++) {
    if (slot % CHUNK_SLOTS === 0) vectors.attach(makeChunk(dim));
    new Uint8Array(vector.buffer).set(floats.subarray(slot * bytes, (slot + 1) * bytes));
    vectors.write(slot, vector, false);
  }
  const hnsw = createHnswIndex(vectors, HNSW);
  await hnsw.load(join(folder, GRAPH), slots);
  const exact = createExactIndex(vectors);
  const scan = createScanIndex(vectors);
  for (const slot of slots) {
    exact.add(slot);
    scan.add(slot);
  }
  return { vectors, hnsw, exact, scan };
}

/** CPU microseconds of one call, over about a second of them. */
async function costOf(call: (n: number) => unknown): Promise<number> {
  for (let n = 0; n < WARM_QUERIES; n++) await call(n);
  const began = process.cpuUsage();
  for (let calls = 1; ; calls++) {
    await call(calls);
    const { user, system } = process.cpuUsage(began);
    if (user + system >= SEARCH_SECONDS * 1e6) return (user + system) / calls;
  }
}

const requests = (size: number): ScanRequest[] => Array.from({ length: size }, () => ({ count: COUNT, excluded: NONE }));

/** Recall against the exact answer, mean over the queries. */
const recallOf = (found: readonly Int32Array[], truth: readonly Int32Array[]): number => {
  const hits = found.map((slots, n) => {
    const wanted = new Set(truth[n]);
    return slots.filter((slot) => wanted.has(slot)).length / Math.max(wanted.size, 1);
  });
  return Number((hits.reduce((sum, share) => sum + share, 0) / Math.max(hits.length, 1)).toFixed(4));
};

async function searches(snapshot: string, dim: number) {
  const { vectors, hnsw, exact, scan } = await openSnapshot(snapshot, dim);
  const queries = queriesFor(vectors);
  const queryOf = (n: number): Float32Array => queries[n % queries.length] as Float32Array; // n % length
  const together = (first: number, size: number): Float32Array => {
    const rows = new Float32Array(size * dim);
    for (let n = 0; n < size; n++) rows.set(queryOf(first + n), n * dim);
    return rows;
  };
  const truth = queries.map((query) => exact.search(query, COUNT).slots);
  const batched = (size: number) => (n: number) => scan.search(together(n, size), requests(size));
  const scans = async (): Promise<Pick<Row, 'scan_us' | 'scan_16_us' | 'scan_recall'>> => {
    const scanned = await Promise.all(queries.map(async (query) => (await scan.search(query, requests(1)))[0]?.slots ?? NONE));
    return { scan_us: await costOf(batched(1)), scan_16_us: (await costOf(batched(16))) / 16, scan_recall: recallOf(scanned, truth) };
  };
  const figures = {
    hnsw_us: await costOf((n) => hnsw.search(queryOf(n), COUNT)), // one after another: a batch of 16 costs 16 times as much
    ...(hnsw.size <= MAX_ROWS ? await scans() : { scan_us: NaN, scan_16_us: NaN, scan_recall: NaN }),
    exact_us: await costOf((n) => exact.search(queryOf(n), COUNT)), // this too
    hnsw_recall: recallOf(
      queries.map((query) => hnsw.search(query, COUNT).slots),
      truth,
    ),
  };
  await scan.close();
  return figures;
}

/** From the same mixture as the items, but none of them. */
function queriesFor(vectors: VectorTable): Float32Array[] {
  const { next } = clusteredVectors(vectors.dim);
  const drawn = Array.from({ length: QUERIES }, next);
  return drawn.map((vector, n) => vector.map((value, i) => value + 0.3 * ((drawn[(n + 1) % QUERIES] as Float32Array)[i] as number))); // n % length, both have d
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

async function measure(items: number, dim: number, models: string, empty: Start): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-scale-'));
  const dataDir = join(folder, 'data');
  const model = prepareModel(models, 1, 8, dim);
  try {
    await fillStore(dataDir, items, USERS, model);
    process.stderr.write(`${items} × ${dim}: in the store\n`);
    const built = await startOnce(dataDir, model);
    const restarted = await startOnce(dataDir, model);
    if (built.fromSnapshot || !restarted.fromSnapshot) throw new Error('the first start should have built, the second one not');
    process.stderr.write(`${items} × ${dim}: built in ${round(built.seconds, 1)} s, restarted in ${round(restarted.seconds, 1)} s\n`);
    const snapshots = join(dataDir, 'snapshots');
    const [name = ''] = readdirSync(snapshots).filter((entry) => !entry.startsWith('.'));
    const snapshot = join(snapshots, name);
    const files = readdirSync(snapshot).reduce((sum, file) => sum + readFileSync(join(snapshot, file)).length, 0);
    const { hnsw_us, scan_us, scan_16_us, exact_us, ...recalls } = await searches(snapshot, dim);
    const bytes = ((restarted.rss - empty.rss) * 2 ** 20) / items;
    return {
      items,
      dim,
      hnsw_us: round(hnsw_us, 1),
      scan_us: round(scan_us, 1),
      scan_16_us: round(scan_16_us, 1),
      exact_us: round(exact_us, 1),
      ...recalls,
      build_s: round(built.seconds, 2),
      restart_s: round(restarted.seconds, 2),
      rss_mib: restarted.rss - empty.rss,
      bytes_an_item: Math.round(bytes),
      of_vector: round(bytes / (4 * dim), 2),
      snapshot_bytes_an_item: Math.round(files / items),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const GROWING = ['hnsw_us', 'scan_us', 'scan_16_us', 'exact_us', 'build_s', 'restart_s', 'rss_mib'] as const;

interface Fit {
  figure: string;
  /** What stays the same. */
  at: string;
  /** The figure grows as (items or dim) to the power of this. */
  exponent: number;
  /** Share of the variance of the logarithms that the line explains; 1 when two points make it. */
  r2: number;
  points: number;
}

/** Least squares through (log x, log y); points that are not positive are left out. */
function fitOf(points: readonly [x: number, y: number][]): Pick<Fit, 'exponent' | 'r2' | 'points'> | null {
  const logs = points.filter(([, y]) => y > 0).map(([x, y]): [number, number] => [Math.log(x), Math.log(y)]);
  if (logs.length < 2) return null;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [middleX, middleY] = [mean(logs.map(([x]) => x)), mean(logs.map(([, y]) => y))];
  const spread = (of: (point: [number, number]) => number): number => mean(logs.map(of));
  const xy = spread(([x, y]) => (x - middleX) * (y - middleY));
  const xx = spread(([x]) => (x - middleX) ** 2);
  const yy = spread(([, y]) => (y - middleY) ** 2);
  return { exponent: round(xy / xx, 3), r2: round(yy === 0 ? 1 : xy ** 2 / (xx * yy), 4), points: logs.length };
}

const distinct = (values: readonly number[]): number[] => [...new Set(values)];

function fits(rows: readonly Row[]): Fit[] {
  const fitted = (figure: (typeof GROWING)[number], at: string, part: readonly Row[], x: 'items' | 'dim'): Fit[] => {
    const fit = fitOf(part.map((row) => [row[x], row[figure]]));
    return fit === null ? [] : [{ figure, at, ...fit }];
  };
  return GROWING.flatMap((figure) => [
    ...distinct(rows.map(({ dim }) => dim)).flatMap((dim) =>
      fitted(
        figure,
        `d ${dim}, by items`,
        rows.filter((row) => row.dim === dim),
        'items',
      ),
    ),
    ...distinct(rows.map(({ items }) => items)).flatMap((items) =>
      fitted(
        figure,
        `${items} items, by d`,
        rows.filter((row) => row.items === items),
        'dim',
      ),
    ),
  ]);
}

/**
 * What searching, starting and keeping a catalogue cost, over its size and width. Searches are measured in this process, on
 * the graph and the vectors of the server's own snapshot; seconds and memory are a server's.
 * --sizes 10000,100000,1000000 --dims 64,256,2048 --json FILE --data FOLDER
 */
export async function scale(_: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const models = resolve(text.get('data') ?? packageFile('data', 'bench'));
  const list = (name: string, fallback: string): number[] => (text.get(name) ?? fallback).split(',').map(Number);
  const sizes = list('sizes', '10000,100000,1000000');
  const rows: Row[] = [];
  for (const dim of list('dims', '64,256,2048')) {
    const folder = mkdtempSync(join(tmpdir(), 'reelfuse-scale-'));
    const empty = await startOnce(join(folder, 'data'), prepareModel(models, 1, 8, dim));
    rmSync(folder, { recursive: true, force: true });
    for (const items of sizes) {
      if (dim >= WIDEST.dim && items > WIDEST.items) continue;
      rows.push(await measure(items, dim, models, empty));
      process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
    }
  }
  const curves = fits(rows);
  const figures = Object.keys(rows[0] ?? {}) as (keyof Row)[];
  process.stderr.write(
    `${table(
      figures,
      rows.map((row) => figures.map((figure) => row[figure])),
    )}\n\n`,
  );
  process.stderr.write(
    `${table(
      ['figure', 'at', 'exponent', 'r²', 'points'],
      curves.map(({ figure, at, exponent, r2, points }) => [figure, at, exponent, r2, points]),
    )}\n`,
  );
  const result = { machine: `${availableParallelism()} × ${cpus()[0]?.model ?? '?'}, Node ${process.versions.node}`, rows, fits: curves };
  const file = text.get('json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
