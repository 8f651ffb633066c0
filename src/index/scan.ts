import { InferenceSession, Tensor } from 'onnxruntime-node';
import { packageFile } from '../package-root.js';
import type { Neighbours } from './ann-index.js';
import { nearest } from './exact.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

/** As in models/dff/scan_graph.py, which writes the graph. */
const GROUP = 16;
const LEVELS = 127;
const OFFSET = 128;
/** Candidates beyond the wanted ones: rounding to 8 bits changes the order of near neighbours a little. */
const MARGIN = 12;
/** Room for larger values than any so far, before all rows have to be rounded anew. */
const HEADROOM = 1.25;
const FIRST_ROWS = 1024;

/** Nanoseconds, measured on one core; they only weigh the scan against the graph. */
const SCAN_VALUE_NS = 0.12;
const SCAN_ROW_NS = 0.45;
const SCAN_QUERY_NS = 20_000;
const GRAPH_QUERY_NS = 70_000;
const GRAPH_VALUE_NS = 500;
/** A batch up to this size costs the product as much as a single query. */
const PRODUCT_WIDTH = 16;

/** Whether scoring all rows for a batch takes less time than a walk through the graph for each of its queries. */
export function isScanCheaper(batch: number, dim: number, rows: number): boolean {
  const product = rows * dim * SCAN_VALUE_NS * Math.max(1, batch / PRODUCT_WIDTH);
  const selection = batch * (SCAN_QUERY_NS + rows * SCAN_ROW_NS);
  return product + selection < batch * (GRAPH_QUERY_NS + dim * GRAPH_VALUE_NS);
}

/** Finds by scoring every row in 8-bit integers, many queries at once, and the best of them again in full precision. */
export interface ScanIndex {
  readonly size: number;
  add(slot: number): void;
  remove(slot: number): void;
  /**
   * @param queries [B, d], normalised by the caller where the similarity is cosine
   * @param counts how many for each query; fewer come back only when the index holds fewer
   */
  search(queries: Float32Array, counts: readonly number[]): Promise<Neighbours[]>;
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
  const live = createSlotSet();
  const vector = new Float32Array(dim);
  let rows = new Uint8Array(FIRST_ROWS * dim);
  /** One more than the highest slot, up to the next group. */
  let used = 0;
  let scale = 0;

  const valueOf = (slot: number, largest: number, write: boolean): number => {
    table.copy(slot, vector, 0);
    const unit = table.scale(slot);
    let highest = 0;
    for (let i = 0; i < dim; i++) {
      const value = (vector[i] as number) * unit; // i < d
      highest = Math.max(highest, Math.abs(value));
      if (write) rows[slot * dim + i] = Math.round((value / largest) * LEVELS) + OFFSET;
    }
    return highest;
  };
  const reserve = (slot: number): void => {
    used = Math.max(used, Math.ceil((slot + 1) / GROUP) * GROUP);
    if (used * dim <= rows.length) return;
    const grown = new Uint8Array(Math.max(used * dim, rows.length * 2));
    grown.set(rows);
    rows = grown;
  };
  const add = (slot: number): void => {
    live.add(slot);
    reserve(slot);
    const highest = valueOf(slot, 1, false);
    if (highest <= scale) {
      valueOf(slot, scale, true);
      return;
    }
    scale = highest * HEADROOM;
    for (const other of live.slots()) valueOf(other, scale, true);
  };

  /** Each query in a column of its own, [d, B]; its scale does not matter to its order. */
  const columnsOf = (queries: Float32Array, size: number): Int8Array => {
    const columns = new Int8Array(queries.length);
    for (let query = 0; query < size; query++) {
      let largest = 1e-30;
      for (let i = query * dim; i < (query + 1) * dim; i++) largest = Math.max(largest, Math.abs(queries[i] as number)); // B × d values
      for (let i = 0; i < dim; i++) columns[i * size + query] = Math.round(((queries[query * dim + i] as number) / largest) * LEVELS);
    }
    return columns;
  };
  /** The best of the candidates in full precision. Null: too few of them are alive. */
  const rescore = (query: Float32Array, candidates: Int32Array, count: number): Neighbours | null => {
    const alive = candidates.filter((slot) => live.has(slot)); // a free row keeps what stood there last
    return alive.length < Math.min(count, live.size) ? null : nearest(table, alive, query, count);
  };
  const scoreAll = (query: Float32Array, count: number): Neighbours => nearest(table, live.slots(), query, count);

  return {
    get size() {
      return live.size;
    },
    add,
    remove: (slot) => void live.delete(slot),
    search: async (queries, counts) => {
      const own = counts.map((_, query) => queries.subarray(query * dim, (query + 1) * dim));
      const wanted = Math.max(...counts) + MARGIN;
      if (wanted > used / GROUP) return own.map((query, position) => scoreAll(query, counts[position] as number)); // one count a query
      const size = counts.length;
      const session = await opened;
      const output = await session.run({
        table: new Tensor('uint8', rows.subarray(0, used * dim), [used, dim]),
        queries: new Tensor('int8', columnsOf(queries, size), [dim, size]),
        count: new Tensor('int64', BigInt64Array.of(BigInt(wanted)), [1]),
      });
      const candidates = output.rows?.data as Int32Array;
      return own.map((query, position) => {
        const count = counts[position] as number; // one count a query
        return rescore(query, candidates.subarray(position * wanted, (position + 1) * wanted), count) ?? scoreAll(query, count);
      });
    },
  };
}
