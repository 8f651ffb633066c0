/**
 * Histograms out of Prometheus text.
 *
 * @typedef {{bounds: number[], counts: number[]}} Buckets upper bounds, rising, the last one Infinity; cumulative counts
 */

/**
 * @param {string} text
 * @param {string} name of the family
 * @param {string} label that tells the series apart; those of one value are summed
 * @returns {Map<string, Buckets>} by the label's value
 */
export function histograms(text, name, label) {
  /** @type {Map<string, Map<number, number>>} */
  const series = new Map();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}_bucket{`)) continue;
    const labels = line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1);
    const bound = Number(labelOf(labels, 'le')?.replace('+Inf', 'Infinity'));
    const value = labelOf(labels, label) ?? '';
    const byBound = series.get(value) ?? new Map();
    byBound.set(bound, (byBound.get(bound) ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1)));
    series.set(value, byBound);
  }
  return new Map([...series].map(([value, byBound]) => {
    const sorted = [...byBound].sort(([a], [b]) => a - b);
    return [value, { bounds: sorted.map(([bound]) => bound), counts: sorted.map(([, count]) => count) }];
  }));
}

/**
 * @param {string} text
 * @param {string} name of a metric without labels
 * @returns {number | null}
 */
export function gauge(text, name) {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? null : Number(line.slice(name.length + 1));
}

/**
 * @param {string} labels
 * @param {string} name
 */
function labelOf(labels, name) {
  return new RegExp(`[{,]${name}="([^"]*)"`).exec(labels)?.[1];
}

/**
 * What was counted since an earlier reading.
 *
 * @param {Buckets} now
 * @param {Buckets | undefined} before
 * @returns {Buckets}
 */
export function since(now, before) {
  return { bounds: now.bounds, counts: now.counts.map((count, index) => count - (before?.counts[index] ?? 0)) };
}

/** @param {Buckets} buckets */
export function countOf({ counts }) {
  return counts[counts.length - 1] ?? 0;
}

/**
 * As Prometheus' histogram_quantile: linear within the bucket; in the last one its lower bound.
 *
 * @param {number} share 0..1
 * @param {Buckets} buckets
 * @returns {number | null} null when nothing was counted
 */
export function quantile(share, { bounds, counts }) {
  const total = counts[counts.length - 1] ?? 0;
  if (total === 0) return null;
  const rank = share * total;
  const bucket = counts.findIndex((count) => count >= rank);
  const upper = bounds[bucket] ?? Number.NaN;
  const lower = bounds[bucket - 1] ?? 0;
  const below = counts[bucket - 1] ?? 0;
  const inside = (counts[bucket] ?? 0) - below;
  if (upper === Number.POSITIVE_INFINITY) return lower;
  return inside === 0 ? upper : lower + ((rank - below) / inside) * (upper - lower);
}
