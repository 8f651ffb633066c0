import { setImmediate as nextTurn } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { Tensor } from 'onnxruntime-node';
import type { Neighbours, ScanRequest } from '../index/ann-index.js';
import { createExactIndex } from '../index/exact.js';
import { searchAllowed } from '../index/filtered.js';
import { createGpuScanIndex } from '../index/gpu-scan.js';
import { createHnswIndex } from '../index/hnsw.js';
import { firstPassing } from '../index/neighbours.js';
import { createScanIndex } from '../index/scan.js';
import { createScratch } from '../index/scratch.js';
import { createVectorTable } from '../index/vector-table.js';
import { checkGolden, checkInt8Golden } from './golden.js';
import type { RecommenderRequest, RecommenderSetup, SearchAnswer, Verified } from './recommender-messages.js';
import { packResults, unpackJobs, type PackedJobs, type SearchOptions, type SearchResult, type UnpackedJob } from './search-messages.js';
import { openTower, type TowerSession } from './tower-session.js';
import { createUserVectors } from './user-vectors.js';
import { mutexOf } from '../threads/mutex.js';
import { serveRequests, type Answered } from '../threads/worker-loop.js';

const setup = workerData as RecommenderSetup;
const { manifest, golden } = setup;
const dim = manifest.dim;
const table = createVectorTable(dim);
const hnsw = createHnswIndex(table, setup.hnsw);
const exact = createExactIndex(table);
const NONE = new Int32Array(0);
const userVectors = createUserVectors(setup.userVectorBytes);
const gpuMutex = mutexOf(setup.gpuLock);
const opened = openTower(setup.towerPath, setup.providers, setup.requireGpu, gpuMutex);
/** Null where the float32 tower answers everything: on a GPU, and for an artifact without an 8-bit tower. */
const openedInt8 = opened.then(({ provider }) =>
  setup.int8TowerPath === null || provider !== 'cpu' ? null : openTower(setup.int8TowerPath, ['cpu'], false, gpuMutex),
);
/** On the device of the tower. */
const scanning = opened.then(({ provider }) => (provider === 'cpu' ? createScanIndex(table) : createGpuScanIndex(table, provider, gpuMutex)));
for (const opening of [opened, openedInt8, scanning]) opening.catch(() => undefined); // the first request reports it

/** item_vectors [B, T, d], mask [B, T] → user_vector [B, d] */
async function runTower(tower: TowerSession, itemVectors: Float32Array, mask: Uint8Array, size: number, length: number): Promise<Float32Array> {
  const output = await tower.run({
    item_vectors: new Tensor('float32', itemVectors, [size, length, dim]),
    mask: new Tensor('bool', mask, [size, length]),
  });
  return output.user_vector?.data as Float32Array;
}

/** Changes the vector itself. */
function normalise(vector: Float32Array): Float32Array {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += (vector[i] as number) ** 2; // i < length
  const scale = 1 / Math.max(Math.sqrt(squares), 1e-12);
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) * scale;
  return vector;
}

const vectorScratch = createScratch(Float32Array);
const maskScratch = createScratch(Uint8Array);
const queryScratch = createScratch(Float32Array);

/** Histories of slots, oldest first → user vectors, [d] each, normalised for a cosine. Padded on the left to the longest history of the batch. */
async function embed(tower: TowerSession, histories: readonly Int32Array[]): Promise<Float32Array[]> {
  const length = Math.max(...histories.map((history) => history.length));
  const itemVectors = vectorScratch(histories.length * length * dim);
  const mask = maskScratch(histories.length * length);
  histories.forEach((history, row) => {
    const start = row * length;
    const first = start + length - history.length;
    itemVectors.fill(0, start * dim, first * dim);
    table.gather(history, itemVectors, first * dim);
    mask.fill(0, start, first).fill(1, first, start + length);
  });
  const raw = await runTower(tower, itemVectors, mask, histories.length, length);
  return histories.map((_, row) => {
    const vector = raw.subarray(row * dim, (row + 1) * dim);
    return manifest.similarity === 'cosine' ? normalise(vector) : vector;
  });
}

interface Embedded {
  vectors: Float32Array[];
  /** How many of them the tower made now; the others were cached. */
  made: number;
}

/**
 * User vectors of all variants. Cached is only what other requests will ask for: the first variant of each job, and no vector of the
 * float32 tower where the 8-bit tower answers most requests.
 */
async function usersOf(variants: readonly Int32Array[][], needsFloat32: boolean): Promise<Embedded> {
  const histories = variants.flat();
  if (histories.length === 0) return { vectors: [], made: 0 };
  const int8 = await openedInt8;
  if (needsFloat32 && int8 !== null) return { vectors: await embed(await opened, histories), made: histories.length };
  const since = userVectors.now();
  const known = histories.map((history) => userVectors.find(history));
  const missing = histories.filter((_, position) => known[position] === undefined);
  const made = missing.length === 0 ? [] : await embed(int8 ?? (await opened), missing);
  const whole = new Set(variants.map(([first]) => first));
  made.forEach((vector, position) => {
    const history = missing[position] as Int32Array; // one vector a history
    if (whole.has(history)) userVectors.keep(history, vector.slice(), since); // a copy: a view would keep the whole batch in memory
  });
  let next = 0;
  return { vectors: known.map((vector) => vector ?? (made[next++] as Float32Array)), made: made.length };
}

/** The history, and for an explanation also the history without each of its items. */
const variantsOf = ({ history, options }: UnpackedJob): Int32Array[] => {
  if (options !== null && options.similarTo !== null) return [];
  return options?.explain === true && history.length > 1
    ? [history, ...Array.from(history, (_, left) => history.filter((_, position) => position !== left))]
    : [history];
};

/** The item's vector as a query. */
function queryOf(slot: number): Float32Array {
  const scale = table.scale(slot);
  return table.vector(slot).map((value) => value * scale);
}

const DISLIKE = 0.5;

/** Rocchio (1971): the query less half of its length times the mean direction of the disliked items. */
function moveAway(query: Float32Array, disliked: Int32Array): Float32Array {
  let squares = 0;
  for (const value of query) squares += value * value;
  const moved = query.slice();
  for (const slot of disliked) {
    const direction = normalise(table.vector(slot).slice());
    const step = (DISLIKE * Math.sqrt(squares)) / disliked.length;
    direction.forEach((value, i) => {
      moved[i] = (moved[i] as number) - step * value; // both have d values
    });
  }
  return manifest.similarity === 'cosine' ? normalise(moved) : moved;
}

function searchAlone(options: SearchOptions | null, query: Float32Array, count: number): Neighbours {
  if (options === null) return hnsw.search(query, count);
  const { allowed, exact: isExact } = options;
  if (allowed === null) return (isExact ? exact : hnsw).search(query, count);
  if (isExact) return searchAllowed(exact, table, allowed, query, count, Infinity); // scores what the filter allows
  return searchAllowed(hnsw, table, allowed, query, count, setup.hnsw.ef);
}

const requestOf = ({ history, count, excludesHistory }: UnpackedJob): ScanRequest => ({ count, excluded: excludesHistory ? history : NONE });

/** Asks the search for more than `count` and leaves out what is excluded. */
function searchExcluding(excluded: Int32Array, count: number, search: (count: number) => Neighbours): Neighbours {
  if (excluded.length === 0) return search(count);
  const excludedSlots = new Set(excluded);
  return firstPassing(search(count + excluded.length), count, (slot) => !excludedSlots.has(slot));
}

/** Neighbours of each job's query. One scan answers all jobs that it can, where that is cheaper than a walk through the graph for each. */
async function findAll(jobs: readonly UnpackedJob[], queries: readonly Float32Array[]): Promise<Neighbours[]> {
  const scan = await scanning;
  const canScan = ({ options }: UnpackedJob): boolean => options === null || (options.allowed === null && (!options.exact || scan.isExact));
  const scannable = jobs.flatMap((job, position) => (canScan(job) ? [position] : []));
  const scanned = new Map<number, Neighbours>();
  if (scannable.length > 0 && scan.isCheaper(scannable.length)) {
    const together = queryScratch(scannable.length * dim);
    scannable.forEach((position, row) => together.set(queries[position] as Float32Array, row * dim)); // one query a job
    const requests = scannable.map((position) => requestOf(jobs[position] as UnpackedJob));
    (await scan.search(together, requests)).forEach((found, row) => scanned.set(scannable[row] as number, found)); // one a request
  }
  return jobs.map((job, position) => {
    const { count, excluded } = requestOf(job);
    const query = queries[position] as Float32Array; // one query a job
    return scanned.get(position) ?? searchExcluding(excluded, count, (wider) => searchAlone(job.options, query, wider));
  });
}

async function search(packed: PackedJobs): Promise<Answered> {
  const started = performance.now();
  const jobs = unpackJobs(packed);
  const variants = jobs.map(variantsOf);
  const needsFloat32 = jobs.some(({ options }) => options?.float32 === true);
  const { vectors: users, made } = await usersOf(variants, needsFloat32);
  const embedded = performance.now();
  let row = 0;
  const vectors = jobs.map(({ options }, position) => {
    const first = row;
    row += variants[position]?.length ?? 0;
    const [own = queryOf(options?.similarTo ?? 0), ...less] = users.slice(first, row); // without a history there is an item
    const disliked = options?.disliked ?? NONE;
    const away = (query: Float32Array): Float32Array => (disliked.length === 0 ? query : moveAway(query, disliked));
    return { user: away(own), without: less.map(away) };
  });
  const found = await findAll(
    jobs,
    vectors.map(({ user }) => user),
  );
  const results = jobs.map(({ options }, position): SearchResult => {
    const neighbours = found[position] as Neighbours; // one a job
    if (options === null || !(options.wantsUser || options.explain)) return { ...neighbours, vectors: null };
    const { user, without: less } = vectors[position] as (typeof vectors)[0]; // one a job
    return { ...neighbours, vectors: { user: options.wantsUser ? user.slice() : null, without: less.map((vector) => vector.slice()) } };
  });
  const answer: SearchAnswer = {
    results: packResults(results),
    embedded: made,
    reused: users.length - made,
    towerMs: embedded - started,
    searchMs: performance.now() - embedded,
  };
  return { answer };
}

async function verify(): Promise<Answered> {
  const run = (tower: TowerSession): Promise<Float32Array> =>
    runTower(tower, golden.itemVectors, golden.mask, golden.histories, manifest.max_history);
  const [tower, int8] = [await opened, await openedInt8];
  const { provider, skipped } = tower;
  checkGolden('user_tower.onnx user_vector', provider, await run(tower), golden.userVector);
  if (int8 !== null) checkInt8Golden(await run(int8), golden.userVector, golden.histories);
  const verified: Verified = { provider, skipped, precision: int8 === null ? 'float32' : 'int8' };
  return { answer: verified };
}

/** Searches and updates go on while the file is written. */
const save = async (file: string): Promise<Answered> => ({ answer: await hnsw.save(file) });

async function load(file: string, slots: Int32Array): Promise<Answered> {
  const nodes = await hnsw.load(file, slots);
  const scan = await scanning;
  for (const slot of slots) {
    exact.add(slot);
    scan.add(slot);
  }
  return { answer: nodes, transfer: [nodes.buffer as ArrayBuffer] };
}

/** Insertions between two turns of the thread: during ingestion a search waits for 3 ms at most. */
const UPDATE_STEP = 4;
let inserted = 0;
let lastUpdate: Promise<unknown> = Promise.resolve();

/** Updates run in the order of arrival; searches come in between. */
function update(add: number[], remove: number[]): Promise<Answered> {
  const mine = lastUpdate.then(async (): Promise<Answered> => {
    const scan = await scanning;
    for (const slot of remove) {
      hnsw.remove(slot);
      exact.remove(slot);
      scan.remove(slot);
    }
    for (const slot of add) {
      hnsw.add(slot);
      exact.add(slot);
      scan.add(slot);
      if (++inserted % UPDATE_STEP === 0) await nextTurn();
    }
    return { answer: null };
  });
  lastUpdate = mine.catch(() => undefined); // the sender is told
  return mine;
}

/** Closes the engines that did open. */
async function close(): Promise<void> {
  const engines = await Promise.allSettled([opened, openedInt8, scanning]);
  for (const engine of engines) if (engine.status === 'fulfilled') await engine.value?.close();
}

serveRequests<RecommenderRequest>((request) => {
  switch (request.type) {
    case 'verify':
      return verify();
    case 'grow':
      table.attach(request.chunk);
      return { answer: null };
    case 'update':
      userVectors.forget(request.remove); // at once: after this message the slots may get other vectors
      return { later: update(request.add, request.remove) };
    case 'search':
      return search(request.jobs);
    case 'save':
      return { later: save(request.file) };
    case 'load':
      return load(request.file, request.slots);
  }
}, close);
