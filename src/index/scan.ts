import { InferenceSession, Tensor } from 'onnxruntime-node';
import { packageFile } from '../package-root.js';
import type { Asked, Neighbours, ScanIndex } from './ann-index.js';
import { nearest } from './exact.js';
import { createRoundedRows } from './rounded-rows.js';
import { createScratch } from './scratch.js';
import type { VectorTable } from './vector-table.js';

/** As in models/dff/scan_graph.py, which writes the graph. */
const GROUP = 16;
const QUERY_LEVELS = 64;
/** Candidates beyond the wanted ones: rounding to 8 bits changes the order of near neighbours a little. */
const MARGIN = 12;
/** Groups beyond the candidates: rarely are more of the best rows exceptions or free. Where they are, the search is made anew. */
const SPARE = 16;
/** Rows that are scored apart for every query; with more of them the graph is cheaper. */
const MAX_OUTLIERS = 64;
/** Beyond this the graph is cheaper for any batch, and rounding every vector would only slow starts down. */
export const MAX_ROWS = 2 ** 17;

/** Nanoseconds, measured on one core; they only weigh the scan against the graph. */
const SCAN_VALUE_NS = 0.12;
const SCAN_ROW_NS = 1;
const SCAN_QUERY_NS = 20_000;
const GRAPH_QUERY_NS = 70_000;
const GRAPH_VALUE_NS = 500;
/** A walk costs more in a larger graph, mostly by misses of the caches. */
const GRAPH_ROWS = 20_000;
const GRAPH_GROWTH = 0.6;
/** A batch up to this size costs the product as much as a single query. */
const PRODUCT_WIDTH = 16;

/** Slots that a key has room for; larger catalogues are not scanned. */
const KEY_SLOTS = 2 ** 20;
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * A number that is smaller the greater the similarity, and the smaller the slot among equals: the similarity's bits,
 * turned so that they fall as it rises, above the slot. 52 bits in all, so a plain sort of doubles ranks slots.
 */
function keyOf(similarity: number, slot: number): number {
  float[0] = similarity;
  const pattern = bits[0] as number; // one element
  return (pattern >>> 31 === 1 ? pattern : pattern ^ 0x7fffffff) * KEY_SLOTS + slot;
}

function similarityOf(key: number): number {
  const turned = Math.floor(key / KEY_SLOTS);
  bits[0] = turned >>> 31 === 1 ? turned : turned ^ 0x7fffffff;
  return float[0] as number; // one element
}

/** Whether scoring all rows for a batch takes less time than a walk through the graph for each of its queries. */
function isScanCheaper(batch: number, dim: number, rows: number): boolean {
  const product = rows * dim * SCAN_VALUE_NS * Math.max(1, batch / PRODUCT_WIDTH);
  const selection = batch * (SCAN_QUERY_NS + rows * SCAN_ROW_NS);
  const walk = GRAPH_QUERY_NS * Math.max(1, rows / GRAPH_ROWS) ** GRAPH_GROWTH + dim * GRAPH_VALUE_NS;
  return rows <= KEY_SLOTS && product + selection < batch * walk;
}

type Triple = [Int32Array, Int32Array, Int32Array];

const part = ({ slots, similarities }: Neighbours, from: number, to: number): Neighbours => ({
  slots: slots.subarray(from, to),
  similarities: similarities.subarray(from, to),
});

const roomFor = ({ count, except }: Asked, spare: number): number => count + Math.min(except.length, spare);

function concat(vectors: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const vector of vectors) {
    all.set(vector, at);
    at += vector.length;
  }
  return all;
}

/** Puts a key into a heap of `filled` others, the smallest first. */
function siftUp(heap: Float64Array, filled: number, key: number): void {
  let at = filled;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as number; // parent < at
    if (above <= key) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = key;
}

/** Puts a key in the place of the smallest. */
function siftDown(heap: Float64Array, filled: number, key: number): void {
  let at = 0;
  for (let child = 1; child < filled; child = 2 * at + 1) {
    if (child + 1 < filled && (heap[child + 1] as number) < (heap[child] as number)) child++; // both < filled
    const below = heap[child] as number; // child < filled
    if (below >= key) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = key;
}

/**
 * One matrix product of a table row by row with a batch of queries costs a few microseconds a query for tens of
 * thousands of rows: less than a walk through a graph, and nothing is missed but what rounding hides.
 * Asymmetric maximum inner product search over scalar-quantised vectors, as in ScaNN without its tree
 * (Guo et al., arXiv 1908.10396).
 */
export function createScanIndex(table: VectorTable): ScanIndex {
  const { dim } = table;
  const opened = InferenceSession.create(packageFile('models', 'scan.onnx'), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1, // parallelism comes from the workers
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  opened.catch(() => undefined); // the first search reports it
  let rows = createRoundedRows(table, GROUP);
  /** The catalogue has outgrown the scan. */
  let isClosed = false;

  /** Each query in a column of its own, [d, B]; its scale does not matter to its order. */
  const columnScratch = createScratch(Int8Array);
  const columnsOf = (queries: Float32Array, size: number): Int8Array => {
    const columns = columnScratch(queries.length);
    for (let query = 0; query < size; query++) {
      let largest = 1e-30;
      for (let i = query * dim; i < (query + 1) * dim; i++) largest = Math.max(largest, Math.abs(queries[i] as number)); // B × d values
      for (let i = 0; i < dim; i++) columns[i * size + query] = Math.round(((queries[query * dim + i] as number) / largest) * QUERY_LEVELS);
    }
    return columns;
  };
  const groupScratch = createScratch(Int32Array);
  const maximaScratch = createScratch(Int32Array);
  const productScratch = createScratch(Int32Array);
  /** The graph on these queries; good until the next call. */
  const multiply = async (queries: Float32Array, size: number, count: number): Promise<Triple> => {
    const session = await opened;
    const found: Triple = [groupScratch(size * count), maximaScratch(size * count), productScratch(size * count * GROUP)];
    const [groups, maxima, products] = found;
    await session.run(
      {
        table: new Tensor('uint8', rows.values(), [rows.used, dim]),
        queries: new Tensor('int8', columnsOf(queries, size), [dim, size]),
        count: new Tensor('int64', BigInt64Array.of(BigInt(count)), [1]),
      },
      {
        groups: new Tensor('int32', groups, [size, count]),
        maxima: new Tensor('int32', maxima, [size, count]),
        products: new Tensor('int32', products, [size, count * GROUP]),
      },
    );
    return found;
  };
  /** In `marks`, a slot of the current query's exceptions has the number of that query. */
  let marks = new Uint32Array(0);
  const keyScratch = createScratch(Float64Array);
  const slotScratch = createScratch(Int32Array);
  const scoreScratch = createScratch(Float64Array);
  let queryNumber = 0;
  const mark = (slots: Int32Array): void => {
    if (marks.length < rows.used) marks = new Uint32Array(rows.capacity);
    queryNumber = (queryNumber + 1) >>> 0 || 1;
    for (const slot of slots) marks[slot] = queryNumber;
  };
  /**
   * The slots with the largest products among one query's groups, those from `from` to `to`, as keys in a heap: no more than `wanted`, fewer only where
   * exceptions and free rows leave too few.
   */
  const pick = ([groups, maxima, products]: Triple, from: number, to: number, wanted: number): Float64Array => {
    const picked = keyScratch(wanted);
    let found = 0;
    // below the least maximum there may be better ones in other groups
    let leastProduct = 0x7fffffff;
    for (let group = from; group < to; group++) leastProduct = Math.min(leastProduct, maxima[group] as number); // group < length
    let least = leastProduct * KEY_SLOTS - 1;
    for (let group = from; group < to; group++) {
      const first = (groups[group] as number) * GROUP; // group < length
      if ((maxima[group] as number) * KEY_SLOTS + first + GROUP <= least) continue;
      for (let member = 0; member < GROUP; member++) {
        const product = products[group * GROUP + member] as number; // GROUP products a group
        if (product < leastProduct) continue; // most end here, by a comparison of integers
        const slot = first + member;
        const key = product * KEY_SLOTS + slot;
        if (key <= least) continue;
        if (!rows.isRounded(slot) || marks[slot] === queryNumber) continue; // a free row keeps what stood there last
        if (found < wanted) siftUp(picked, found++, key);
        else siftDown(picked, found, key);
        if (found < wanted) continue;
        least = picked[0] as number; // at least one is wanted
        leastProduct = Math.floor(least / KEY_SLOTS) | 0;
      }
    }
    return picked.subarray(0, found);
  };
  /** The slots of these keys, and those set apart from the rows that are not marked. */
  const slotsOf = (keys: Float64Array): Int32Array => {
    const slots = slotScratch(keys.length + rows.outliers.size);
    let found = 0;
    for (; found < keys.length; found++) {
      const key = keys[found] as number; // found < length
      slots[found] = key - Math.floor(key / KEY_SLOTS) * KEY_SLOTS;
    }
    for (const slot of rows.outliers) if (marks[slot] !== queryNumber) slots[found++] = slot;
    return slots.subarray(0, found);
  };
  /** The best of the candidates in full precision, written to `room`. Null: there are too few of them. */
  const rescore = (query: Float32Array, candidates: Int32Array, { count, except }: Asked, room: Neighbours): Neighbours | null => {
    const found = candidates.length;
    if (found < Math.min(count, rows.size - except.length)) return null;
    const scored = scoreScratch(found);
    for (let n = 0; n < found; n++) {
      const slot = candidates[n] as number; // n < found
      scored[n] = keyOf(table.similarity(query, slot), slot);
    }
    scored.sort();
    const size = Math.min(count, found);
    for (let rank = 0; rank < size; rank++) {
      const key = scored[rank] as number; // rank < size
      room.slots[rank] = key % KEY_SLOTS;
      room.similarities[rank] = similarityOf(key);
    }
    return part(room, 0, size);
  };
  const scoreAll = (query: Float32Array, { count, except }: Asked): Neighbours => {
    mark(except);
    const isWanted = (slot: number): boolean => marks[slot] !== queryNumber;
    return nearest(table, rows.slots().filter(isWanted), query, count);
  };

  return {
    get size() {
      return rows.size;
    },
    add: (slot) => {
      if (!isClosed && slot < MAX_ROWS) rows.add(slot);
      else if (!isClosed) {
        isClosed = true;
        rows = createRoundedRows(table, GROUP); // without the memory of the old ones
      }
    },
    remove: (slot) => rows.remove(slot),
    isExact: false,
    isCheaper: (batch) => !isClosed && rows.outliers.size <= MAX_OUTLIERS && isScanCheaper(batch, dim, rows.size),
    search: async (queries, asked) => {
      const queryOf = (position: number): Float32Array => queries.subarray(position * dim, (position + 1) * dim);
      const most = asked.reduce((largest, { count }) => Math.max(largest, count), 0);
      const room = { slots: new Int32Array(asked.length * most), similarities: new Float32Array(asked.length * most) };
      const answers: Neighbours[] = [];
      let open = Array.from(asked.keys());
      for (const spare of [SPARE, Infinity]) {
        const groups = MARGIN + open.reduce((most, position) => Math.max(most, roomFor(asked[position] as Asked, spare)), 0); // one a query
        if (groups > rows.used / GROUP) break;
        const found = await multiply(open.length === asked.length ? queries : concat(open.map(queryOf)), open.length, groups);
        open = open.filter((position, row) => {
          const mine = asked[position] as Asked;
          mark(mine.except);
          const picked = pick(found, row * groups, (row + 1) * groups, mine.count + MARGIN);
          if (picked.length < mine.count + MARGIN && spare < mine.except.length) return true;
          const best = rescore(queryOf(position), slotsOf(picked), mine, part(room, position * most, (position + 1) * most));
          if (best !== null) answers[position] = best;
          return best === null;
        });
        if (open.length === 0) return answers;
      }
      for (const position of open) answers[position] = scoreAll(queryOf(position), asked[position] as Asked);
      return answers;
    },
    close: async () => (await opened).release(),
  };
}
