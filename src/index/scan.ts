import type { Neighbours, ScanIndex, ScanRequest } from './ann-index.js';
import { nearest } from './exact.js';
import { createRoundedRows } from './rounded-rows.js';
import { createScanCandidates } from './scan-candidates.js';
import { isScanCheaper } from './scan-cost.js';
import { GROUP, openScanProduct } from './scan-product.js';
import { createScratch } from './scratch.js';
import { KEY_SLOTS, similarityKey, similarityOf } from './slot-keys.js';
import type { VectorTable } from './vector-table.js';

/** Candidates beyond the wanted ones: rounding to 8 bits changes the order of near neighbours a little. */
const MARGIN = 12;
/** Groups beyond the candidates, because some of the best rows are excluded or free. Where that is not enough the search is repeated. */
const SPARE = 16;
/** Rows that are scored apart for every query; with more of them the graph is cheaper. */
const MAX_OUTLIERS = 64;
/** In a larger catalogue the graph is cheaper for any batch, and rounding every vector would slow down starts. Below KEY_SLOTS. */
export const MAX_ROWS = 2 ** 17;

/** The slots with ranks [from, to). */
const slice = ({ slots, similarities }: Neighbours, from: number, to: number): Neighbours => ({
  slots: slots.subarray(from, to),
  similarities: similarities.subarray(from, to),
});

function concat(vectors: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const vector of vectors) {
    all.set(vector, at);
    at += vector.length;
  }
  return all;
}

/**
 * Approximate search without a graph: one matrix product of all rows, in 8 bits, with a batch of queries. It costs a few microseconds
 * a query for tens of thousands of rows, less than a walk through a graph, and misses only what rounding hides.
 * Asymmetric maximum inner product search over scalar-quantised vectors, as in ScaNN without its tree
 * (Guo et al., arXiv 1908.10396).
 */
export function createScanIndex(table: VectorTable): ScanIndex {
  const { dim } = table;
  const product = openScanProduct(dim);
  let rows = createRoundedRows(table, GROUP);
  let candidates = createScanCandidates(rows);
  /** The catalogue has outgrown the scan. */
  let isClosed = false;
  const keyScratch = createScratch(Float64Array);

  /** The best of these slots in full precision, written to `output`. Null: there are too few of them. */
  const rescore = (query: Float32Array, slots: Int32Array, { count, excluded }: ScanRequest, output: Neighbours): Neighbours | null => {
    if (slots.length < Math.min(count, rows.size - excluded.length)) return null;
    const keys = keyScratch(slots.length);
    table.prefetch(slots);
    for (let n = 0; n < slots.length; n++) {
      const slot = slots[n] as number; // n < length
      keys[n] = similarityKey(table.similarity(query, slot), slot);
    }
    keys.sort();
    const size = Math.min(count, keys.length);
    for (let rank = 0; rank < size; rank++) {
      const key = keys[rank] as number; // rank < size
      output.slots[rank] = key % KEY_SLOTS;
      output.similarities[rank] = similarityOf(key);
    }
    return slice(output, 0, size);
  };
  const scoreAll = (query: Float32Array, { count, excluded }: ScanRequest): Neighbours => {
    candidates.exclude(excluded);
    const isWanted = (slot: number): boolean => !candidates.isExcluded(slot);
    return nearest(table, rows.slots().filter(isWanted), query, count);
  };

  const search = async (queries: Float32Array, requests: readonly ScanRequest[]): Promise<Neighbours[]> => {
    const queryOf = (position: number): Float32Array => queries.subarray(position * dim, (position + 1) * dim);
    const maxCount = requests.reduce((largest, { count }) => Math.max(largest, count), 0);
    const output = { slots: new Int32Array(requests.length * maxCount), similarities: new Float32Array(requests.length * maxCount) };
    const answers: Neighbours[] = [];
    let open = Array.from(requests.keys());
    for (const spare of [SPARE, Infinity]) {
      const needed = ({ count, excluded }: ScanRequest): number => count + Math.min(excluded.length, spare);
      const groups = MARGIN + open.reduce((largest, position) => Math.max(largest, needed(requests[position] as ScanRequest)), 0); // one a query
      if (groups > rows.used / GROUP) break;
      const products = await product.multiply(rows, open.length === requests.length ? queries : concat(open.map(queryOf)), open.length, groups);
      open = open.filter((position, row) => {
        const request = requests[position] as ScanRequest;
        const wanted = request.count + MARGIN;
        candidates.exclude(request.excluded);
        const picked = candidates.pick(products, row * groups, (row + 1) * groups, wanted);
        if (picked.length < wanted && spare < request.excluded.length) return true;
        const own = slice(output, position * maxCount, (position + 1) * maxCount);
        const best = rescore(queryOf(position), candidates.slotsOf(picked), request, own);
        if (best !== null) answers[position] = best;
        return best === null;
      });
      if (open.length === 0) return answers;
    }
    for (const position of open) answers[position] = scoreAll(queryOf(position), requests[position] as ScanRequest);
    return answers;
  };

  const close = (): void => {
    isClosed = true;
    rows = createRoundedRows(table, GROUP); // frees the memory of the old ones
    candidates = createScanCandidates(rows);
  };

  return {
    get size() {
      return rows.size;
    },
    add: (slot) => {
      if (isClosed) return;
      if (slot < MAX_ROWS) rows.add(slot);
      else close();
    },
    remove: (slot) => rows.remove(slot),
    isExact: false,
    isCheaper: (batch) => !isClosed && rows.outliers.size <= MAX_OUTLIERS && isScanCheaper(batch, dim, rows.size),
    search,
    close: () => product.close(),
  };
}
