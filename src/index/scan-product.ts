import { InferenceSession, Tensor } from 'onnxruntime-node';
import { packageFile } from '../package-root.js';
import type { RoundedRows } from './rounded-rows.js';
import { createScratch } from './scratch.js';

/** Rows in a group. As in models/dff/scan_graph.py, which writes the graph. */
export const GROUP = 16;
const QUERY_LEVELS = 64;

/** What the graph says of B queries; `count` groups for each, those with the largest products. */
export interface ScanProducts {
  /** [B, count], numbers of groups: group g holds slots [g × GROUP, (g + 1) × GROUP) */
  groups: Int32Array;
  /** [B, count], the largest product of each group */
  maxima: Int32Array;
  /** [B, count × GROUP], the products of all members */
  products: Int32Array;
}

export interface ScanProduct {
  /**
   * Multiplies all rows with a batch of queries. The result is valid until the next call.
   * @param queries [B, d]
   */
  multiply(rows: RoundedRows, queries: Float32Array, size: number, count: number): Promise<ScanProducts>;
  close(): Promise<void>;
}

/** The matrix product of a table of 8-bit rows with a batch of queries, and the groups of rows with the largest products. */
export function openScanProduct(dim: number): ScanProduct {
  const opened = InferenceSession.create(packageFile('models', 'scan.onnx'), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1, // parallelism comes from the workers
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  opened.catch(() => undefined); // the first search reports it
  const columnScratch = createScratch(Int8Array);
  const groupScratch = createScratch(Int32Array);
  const maximaScratch = createScratch(Int32Array);
  const productScratch = createScratch(Int32Array);

  /** Queries [B, d] → columns [d, B] in 8 bits, each at its own scale: the scale of a query does not change the order of its rows. */
  const columnsOf = (queries: Float32Array, size: number): Int8Array => {
    const columns = columnScratch(queries.length);
    for (let query = 0; query < size; query++) {
      let largest = 1e-30;
      for (let i = query * dim; i < (query + 1) * dim; i++) largest = Math.max(largest, Math.abs(queries[i] as number)); // B × d values
      for (let i = 0; i < dim; i++) columns[i * size + query] = Math.round(((queries[query * dim + i] as number) / largest) * QUERY_LEVELS);
    }
    return columns;
  };

  return {
    multiply: async (rows, queries, size, count) => {
      const session = await opened;
      const found = { groups: groupScratch(size * count), maxima: maximaScratch(size * count), products: productScratch(size * count * GROUP) };
      await session.run(
        {
          table: new Tensor('uint8', rows.values(), [rows.used, dim]),
          queries: new Tensor('int8', columnsOf(queries, size), [dim, size]),
          count: new Tensor('int64', BigInt64Array.of(BigInt(count)), [1]),
        },
        {
          groups: new Tensor('int32', found.groups, [size, count]),
          maxima: new Tensor('int32', found.maxima, [size, count]),
          products: new Tensor('int32', found.products, [size, count * GROUP]),
        },
      );
      return found;
    },
    close: async () => (await opened).release(),
  };
}
