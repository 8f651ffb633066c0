import type { Metric, Registry } from 'prom-client';

export interface TimingHistogram {
  /** The series of one set of label values. Keep it where observations are frequent. */
  series(...values: string[]): TimingSeries;
}

export interface TimingSeries {
  observe(seconds: number): void;
}

interface Settings {
  name: string;
  help: string;
  labelNames: readonly string[];
  /** Upper bounds, rising. */
  buckets: readonly number[];
}

/**
 * A histogram for values that every request observes several times. It counts in a flat array, where prom-client's histogram validates
 * and hashes the labels each time. The registry reads it like its other metrics.
 */
export function createTimingHistogram(registry: Registry, { name, help, labelNames, buckets }: Settings): TimingHistogram {
  const known = new Map<string, { labels: Record<string, string>; counts: Float64Array; sum: number; observe: (seconds: number) => void }>();
  const create = (values: string[]) => {
    const counts = new Float64Array(buckets.length + 1);
    const series = {
      labels: Object.fromEntries(labelNames.map((label, position) => [label, values[position] ?? ''])),
      counts,
      sum: 0,
      observe: (seconds: number): void => {
        let bucket = 0;
        while (bucket < buckets.length && seconds > (buckets[bucket] as number)) bucket++; // within the bounds
        counts[bucket] = (counts[bucket] as number) + 1; // one more than there are bounds
        series.sum += seconds;
      },
    };
    return series;
  };
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    values: [...known.values()].flatMap(({ labels, counts, sum }) => {
      let total = 0;
      const upTo = [...buckets, '+Inf'].map((bound, bucket) => {
        total += counts[bucket] as number; // one more than there are bounds
        return { metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: total };
      });
      return [...upTo, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: total }];
    }),
  });
  registry.registerMetric({ name, get, reset: () => known.clear() } as unknown as Metric); // what the registry asks of a metric
  return {
    series: (...values) => {
      const key = values.join('\n');
      let series = known.get(key);
      if (series === undefined) {
        series = create(values);
        known.set(key, series);
      }
      return series;
    },
  };
}
