/** Nanoseconds, measured on one core. Only their ratios matter: they weigh the scan against the graph. */
const SCAN_VALUE_NS = 0.12;
const SCAN_ROW_NS = 1;
const SCAN_QUERY_NS = 20_000;
const GRAPH_QUERY_NS = 70_000;
const GRAPH_VALUE_NS = 500;
/** A walk costs more in a larger graph, mostly by cache misses: (rows / 20,000) to the power of 0.6. */
const GRAPH_ROWS = 20_000;
const GRAPH_GROWTH = 0.6;
/** The product of a batch up to this size costs as much as that of a single query. */
const PRODUCT_WIDTH = 16;

/**
 * Whether scoring all rows for a batch takes less time than a walk through the graph for each of its queries.
 * @param batch number of queries
 */
export function isScanCheaper(batch: number, dim: number, rows: number): boolean {
  const product = rows * dim * SCAN_VALUE_NS * Math.max(1, batch / PRODUCT_WIDTH);
  const selection = batch * (SCAN_QUERY_NS + rows * SCAN_ROW_NS);
  const walk = GRAPH_QUERY_NS * Math.max(1, rows / GRAPH_ROWS) ** GRAPH_GROWTH + dim * GRAPH_VALUE_NS;
  return product + selection < batch * walk;
}
