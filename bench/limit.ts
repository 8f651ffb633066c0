import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createHnswIndex, type HnswSettings } from '../src/index/hnsw.js';
import { MAX_ROWS, createScanIndex } from '../src/index/scan.js';
import { readArtifact } from '../src/model/artifact.js';
import { createVectorTable, makeChunk, CHUNK_SLOTS } from '../src/index/vector-table.js';

const BATCH = 16; // as the server's
const LENGTH = 50;
const K = 20;
/** A walk through the graph cannot leave the history out. */
const COUNT = K + LENGTH;
const SECONDS = 0.5;

/** float32 rows of a .npy file in C order. */
export function readNpy(path: string): { rows: number; dim: number; values: Float32Array } {
  const bytes = readFileSync(path);
  const headerEnd = 10 + bytes.readUInt16LE(8);
  const [, rows = '0', dim = '0'] = /'shape': \((\d+), (\d+)\)/.exec(bytes.toString('latin1', 10, headerEnd)) ?? [];
  return { rows: Number(rows), dim: Number(dim), values: new Float32Array(new Uint8Array(bytes.subarray(headerEnd)).buffer) };
}

export interface Limit {
  /** CPU microseconds of the user tower for one request, in the precision and the batches that the server has at most. */
  tower: number;
  /** CPU microseconds of one search, by the scan or by the graph, whatever costs less. */
  search: number;
}

/** The least that tower and search can cost: the same graph and index in a loop on one thread, without HTTP. */
export async function openLimit(data: string, settings: HnswSettings): Promise<() => Promise<Limit>> {
  const { rows, dim, values } = readNpy(join(data, 'items.npy'));
  const table = createVectorTable(dim);
  const index = createHnswIndex(table, settings);
  const scan = createScanIndex(table);
  for (let row = 0; row < rows; row++) {
    if (row % CHUNK_SLOTS === 0) table.attach(makeChunk(dim));
    table.write(row, values.subarray(row * dim, (row + 1) * dim), false);
    index.add(row);
    scan.add(row);
  }
  const { userTowerPath, int8UserTowerPath } = await readArtifact(join(data, 'artifact'));
  const session = await InferenceSession.create(int8UserTowerPath ?? userTowerPath, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const rowOf = new Map(
    readFileSync(join(data, 'item_ids.txt'), 'utf8')
      .trim()
      .split('\n')
      .map((id, row) => [id, row]),
  );
  const histories = readFileSync(join(data, 'requests_history.jsonl'), 'utf8')
    .split('\n', 1024)
    .map((line) => (JSON.parse(line) as { history: string[] }).history.map((id) => rowOf.get(id) ?? 0));
  const batches = Array.from({ length: histories.length / BATCH }, (_, n) => {
    const vectors = new Float32Array(BATCH * LENGTH * dim);
    histories
      .slice(n * BATCH, (n + 1) * BATCH)
      .forEach((history, user) => history.forEach((row, place) => vectors.set(table.vector(row), (user * LENGTH + place) * dim)));
    return {
      item_vectors: new Tensor('float32', vectors, [BATCH, LENGTH, dim]),
      mask: new Tensor('bool', new Uint8Array(BATCH * LENGTH).fill(1), [BATCH, LENGTH]),
    };
  });
  const users: Float32Array[] = [];
  for (const feeds of batches) {
    const raw = (await session.run(feeds)).user_vector?.data as Float32Array;
    for (let user = 0; user < BATCH; user++) users.push(raw.slice(user * dim, (user + 1) * dim));
  }
  const perCall = async (call: (n: number) => unknown): Promise<number> => {
    const start = process.cpuUsage();
    let calls = 0;
    let spent = 0;
    while (spent < SECONDS * 1e6) {
      for (let n = 0; n < BATCH; n++) await call(calls++);
      const { user, system } = process.cpuUsage(start);
      spent = user + system;
    }
    return spent / calls;
  };
  const together = Array.from({ length: users.length / BATCH }, (_, n) => {
    const queries = new Float32Array(BATCH * dim);
    users.slice(n * BATCH, (n + 1) * BATCH).forEach((user, row) => queries.set(user, row * dim));
    return queries;
  });
  const requests = together.map((_, n) =>
    histories.slice(n * BATCH, (n + 1) * BATCH).map((history) => ({ count: K, excluded: Int32Array.from(history) })),
  );
  const scanTogether = (n: number): Promise<unknown> =>
    scan.search(together[n % together.length] as Float32Array, requests[n % requests.length] ?? []); // n % length
  return async () => ({
    tower: (await perCall((n) => session.run(batches[n % batches.length] as (typeof batches)[0]))) / BATCH, // n % length
    search: Math.min(
      await perCall((n) => index.search(users[n % users.length] as Float32Array, COUNT)), // n % length
      rows > MAX_ROWS ? Infinity : (await perCall(scanTogether)) / BATCH,
    ),
  });
}
