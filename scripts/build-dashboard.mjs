// Writes ops/grafana/reelfuse.json, or with --check says whether it is what this file describes.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const FILE = fileURLToPath(new URL('../ops/grafana/reelfuse.json', import.meta.url));
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const COLUMNS = 24;
const HEIGHT = 8;

/** Label matchers of the chosen servers, and more of them. */
const of = (more = '') => `{job=~"$job",instance=~"$instance"${more === '' ? '' : `,${more}`}}`;
const rate = (metric, more) => `rate(${metric}${of(more)}[$__rate_interval])`;
const sumBy = (labels, expression) => `sum by (${labels}) (${expression})`;
const quantile = (q, metric, { by = [], more = '' } = {}) =>
  `histogram_quantile(${q}, ${sumBy([...by, 'le'].join(', '), rate(`${metric}_bucket`, more))})`;
const mean = (metric, by, more) => `${sumBy(by, rate(`${metric}_sum`, more))} / ${sumBy(by, rate(`${metric}_count`, more))}`;
const quantiles = (metric, more) => [
  [quantile(0.5, metric, { more }), 'p50'],
  [quantile(0.99, metric, { more }), 'p99'],
];

const targets = (queries, extra = {}) =>
  queries.map(([expr, legendFormat], position) => ({
    datasource: DATASOURCE,
    editorMode: 'code',
    expr,
    legendFormat,
    range: true,
    refId: String.fromCharCode(65 + position),
    ...extra,
  }));

const panel = (type, title, queries, { unit = 'short', width = 8, description, max, thresholds, options = {}, custom = {}, query = {} }) => ({
  type,
  title,
  ...(description !== undefined && { description }),
  datasource: DATASOURCE,
  fieldConfig: {
    defaults: {
      unit,
      min: 0,
      ...(max !== undefined && { max }),
      ...(Object.keys(custom).length > 0 && { custom }),
      ...(thresholds !== undefined && {
        thresholds: {
          mode: 'absolute',
          steps: [{ color: 'green', value: null }, ...thresholds.map(([color, value]) => ({ color, value }))],
        },
      }),
    },
    overrides: [],
  },
  options,
  targets: targets(queries, query),
  width,
});

const graph = (title, queries, { isStacked = false, ...rest } = {}) =>
  panel('timeseries', title, queries, {
    custom: {
      drawStyle: 'line',
      fillOpacity: isStacked ? 40 : 8,
      showPoints: 'never',
      ...(isStacked && { stacking: { mode: 'normal', group: 'A' } }),
    },
    options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true }, tooltip: { mode: 'multi', sort: 'desc' } },
    ...rest,
  });
const figure = (title, expression, rest = {}) =>
  panel('stat', title, [[expression, '']], {
    width: 4,
    options: { colorMode: 'value', graphMode: 'area', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, textMode: 'auto' },
    ...rest,
  });
const heatmap = (title, metric, more, { unit, ...rest }) =>
  panel('heatmap', title, [[sumBy('le', `increase(${metric}_bucket${of(more)}[$__rate_interval])`), '{{le}}']], {
    unit,
    query: { format: 'heatmap' },
    options: {
      calculate: false,
      color: { mode: 'scheme', scheme: 'Oranges', steps: 64 },
      cellGap: 1,
      tooltip: { mode: 'single' },
      yAxis: { unit, axisPlacement: 'left' },
    },
    ...rest,
  });
const table = (title, queries, rest = {}) =>
  panel('table', title, queries, { query: { format: 'table', instant: true, range: false }, options: { showHeader: true }, ...rest });

const RECOMMENDING = 'route=~"/v1/recommendations|/v1/users/:user_id/recommendations|/v1/items/:item_id/similar"';
const HTTP = 'reelfuse_http_request_duration_seconds';
const STAGE = 'reelfuse_stage_duration_seconds';
const CHOSEN_JOB = '{job=~"$job"}';

const ROWS = {
  Traffic: [
    figure('Servers ready', `sum(reelfuse_ready${of()})`, { thresholds: [] }),
    figure('Calls', `sum(${rate(`${HTTP}_count`, 'route=~"/v1/.*"')})`, { unit: 'reqps' }),
    figure('Failed calls', `max(job:reelfuse_error_ratio:rate5m${CHOSEN_JOB})`, {
      unit: 'percentunit',
      thresholds: [
        ['orange', 0.001],
        ['red', 0.0144],
      ],
    }),
    figure('Recommendations, p99', `max(job:reelfuse_recommendation_http_seconds:p99_5m${CHOSEN_JOB})`, {
      unit: 's',
      thresholds: [['orange', 0.25]],
    }),
    figure('Searchable items', `max(reelfuse_items${of('state="searchable"')})`),
    figure('Firing alerts', 'count(ALERTS{alertname=~"Reelfuse.*",alertstate="firing"}) or vector(0)', { thresholds: [['red', 1]] }),
    graph('Calls by route', [[sumBy('route', rate(`${HTTP}_count`, 'route=~"/v1/.*"')), '{{route}}']], { unit: 'reqps' }),
    graph('Answers by status', [[sumBy('status_class', rate(`${HTTP}_count`)), '{{status_class}}']], { unit: 'reqps', isStacked: true }),
    graph('Refused', [[sumBy('reason', rate('reelfuse_rejected_total')), '{{reason}}']], {
      unit: 'reqps',
      description: 'overload: would have waited for longer than REELFUSE_MAX_WAIT_MS; the others: a queue was full',
    }),
  ],
  'Latency by stage': [
    graph('Where the time goes, mean', [[mean(STAGE, 'stage', 'stage!="total"'), '{{stage}}']], { unit: 's', isStacked: true }),
    graph('Stages, p50', [[quantile(0.5, STAGE, { by: ['stage'] }), '{{stage}}']], { unit: 's' }),
    graph('Stages, p99', [[quantile(0.99, STAGE, { by: ['stage'] }), '{{stage}}']], { unit: 's' }),
    heatmap('Recommendations', HTTP, RECOMMENDING, { unit: 's' }),
    graph('Other calls, p99', [[quantile(0.99, HTTP, { by: ['route'], more: 'route=~"/v1/.*"' }), '{{route}}']], { unit: 's' }),
    graph('Waiting for a recommender', [[`sum by (instance) (reelfuse_queue_depth${of()})`, '{{instance}}']]),
    graph('Taken together in one run, mean', [[mean('reelfuse_batch_size', 'tower'), '{{tower}} tower']], {
      description: 'large batches of the user tower: a crowd of requests; of the item tower: an upload or a swap',
    }),
    graph('User vectors', [[`sum by (source) (rate(reelfuse_user_vectors_total${of()}[$__rate_interval]))`, '{{source}}']], {
      unit: 'ops',
      isStacked: true,
      description: 'from memory where the history had not changed since an earlier request',
    }),
  ],
  Quality: [
    graph('Recall@20 of the index', [[`avg_over_time(reelfuse_index_recall_ratio${of()}[10m])`, '{{instance}}']], {
      unit: 'percentunit',
      max: 1,
      description: 'a few queries of each minute against exact search',
    }),
    graph('Answered by the fallback ranking', [[`job_reason:reelfuse_fallback_ratio:rate5m${CHOSEN_JOB}`, '{{reason}}']], {
      unit: 'percentunit',
      isStacked: true,
    }),
    graph('Fallbacks', [[sumBy('reason', rate('reelfuse_fallback_total')), '{{reason}}']], { unit: 'reqps' }),
    graph('New items given a place', [[sumBy('instance', rate('reelfuse_explored_items_total')), '{{instance}}']], { unit: 'reqps' }),
    graph(
      'Norm of new hidden states',
      [
        [quantile(0.1, 'reelfuse_hidden_state_norm_ratio'), 'p10'],
        [quantile(0.5, 'reelfuse_hidden_state_norm_ratio'), 'p50'],
        [quantile(0.9, 'reelfuse_hidden_state_norm_ratio'), 'p90'],
        [`avg(job:reelfuse_hidden_state_norm_ratio:mean1h${CHOSEN_JOB})`, 'mean, 1 h'],
      ],
      { description: 'against the hidden states that the model was trained on: 1 is as before' },
    ),
    graph(
      'Share of the ID in fused vectors',
      [
        [quantile(0.5, 'reelfuse_gate_id_share'), 'p50'],
        [`avg(job:reelfuse_gate_id_share:mean1h${CHOSEN_JOB})`, 'mean, 1 h'],
      ],
      { unit: 'percentunit', max: 1, description: 'of items that were fused: new, changed, or in a swap' },
    ),
  ],
  Catalogue: [
    graph('Items by state', [[`max by (state) (reelfuse_items${of()})`, '{{state}}']], { isStacked: true }),
    graph('Out of their time', [[`max by (reason) (reelfuse_items_unavailable${of()})`, '{{reason}}']]),
    graph('Received to searchable', quantiles('reelfuse_ingest_to_searchable_seconds'), { unit: 's' }),
    graph('Items made searchable', [[sumBy('instance', rate('reelfuse_ingest_to_searchable_seconds_count')), '{{instance}}']], { unit: 'wps' }),
    graph('Group commit', quantiles('reelfuse_store_commit_seconds'), { unit: 's' }),
    graph('Writes in one commit, mean', [[mean('reelfuse_store_commit_writes', 'instance'), '{{instance}}']]),
    graph('Age of the newest snapshot', [[`max by (instance) (reelfuse_snapshot_age_seconds${of()})`, '{{instance}}']], { unit: 's' }),
    graph('Snapshots and rebuilds', [
      [sumBy('outcome', `increase(reelfuse_snapshots_total${of()}[$__rate_interval])`), 'snapshot {{outcome}}'],
      [sumBy('reason', `increase(reelfuse_index_rebuilds_total${of()}[$__rate_interval])`), 'rebuild: {{reason}}'],
    ]),
    graph('Storage', [
      [`max by (instance, fault) (reelfuse_storage_degraded${of()})`, 'degraded: {{fault}} {{instance}}'],
      [sumBy('instance, fault', `increase(reelfuse_storage_faults_total${of()}[$__rate_interval])`), 'faults: {{fault}} {{instance}}'],
      [`max by (instance) (reelfuse_storage_damaged_rows${of()})`, 'damaged rows {{instance}}'],
    ]),
    graph('Check of the store', [
      [sumBy('instance', rate('reelfuse_store_check_rows_total')), 'rows/s {{instance}}'],
      [`max by (instance) (time() - reelfuse_store_check_finished_timestamp_seconds${of()}) / 3600`, 'hours since the last {{instance}}'],
    ]),
    graph('Over PostgreSQL', [
      [`min by (instance) (reelfuse_replica_lease_held${of()})`, 'lease held {{instance}}'],
      [`max by (instance) (reelfuse_change_feed_held_seconds${of()})`, 'feed held up, s {{instance}}'],
    ]),
    graph('Left to do, or lost', [
      [sumBy('instance', `reelfuse_erasures_pending${of()}`), 'erasures pending {{instance}}'],
      [sumBy('instance', `increase(reelfuse_served_log_errors_total${of()}[$__rate_interval])`), 'answers not kept {{instance}}'],
    ]),
  ],
  Model: [
    table('What answers', [[`max by (instance, fingerprint, version, provider) (reelfuse_generation_info${of()})`, '']], { width: 12 }),
    table('Version of the server', [[`max by (instance, version) (reelfuse_build_info${of()})`, '']], { width: 12 }),
    graph('Progress of a swap', [[`max by (instance) (reelfuse_swap_progress_ratio${of()})`, '{{instance}}']], {
      unit: 'percentunit',
      max: 1,
      width: 12,
    }),
    graph('Swaps', [[sumBy('outcome', `increase(reelfuse_swaps_total${of()}[$__rate_interval])`), '{{outcome}}']], { width: 12 }),
  ],
  Process: [
    graph('CPU', [[sumBy('instance', rate('reelfuse_process_cpu_seconds_total')), '{{instance}}']], { description: 'cores in use' }),
    graph(
      'Memory',
      [
        [`max by (instance) (reelfuse_process_resident_memory_bytes${of()})`, 'resident {{instance}}'],
        [`max by (instance) (reelfuse_nodejs_heap_size_used_bytes${of()})`, 'heap {{instance}}'],
        [`max by (instance) (reelfuse_nodejs_external_memory_bytes${of()})`, 'external {{instance}}'],
      ],
      { unit: 'bytes', description: 'vectors and index are resident, outside of the heap' },
    ),
    graph('Event loop lag, p99', [[`max by (instance) (reelfuse_nodejs_eventloop_lag_p99_seconds${of()})`, '{{instance}}']], { unit: 's' }),
    graph('Garbage collection', [[sumBy('kind', rate('reelfuse_nodejs_gc_duration_seconds_sum')), '{{kind}}']], {
      unit: 'percentunit',
      description: 'share of the time of one core',
    }),
    graph(
      'Disk of the data folder',
      [
        [`min by (instance) (reelfuse_data_available_bytes${of()})`, 'free {{instance}}'],
        [`max by (instance) (reelfuse_data_size_bytes${of()})`, 'size {{instance}}'],
      ],
      { unit: 'bytes' },
    ),
    graph('File descriptors', [[`max by (instance) (reelfuse_process_open_fds${of()} / reelfuse_process_max_fds${of()})`, '{{instance}}']], {
      unit: 'percentunit',
      max: 1,
    }),
    graph('Running for', [[`time() - max by (instance) (reelfuse_process_start_time_seconds${of()})`, '{{instance}}']], { unit: 's' }),
  ],
};

const variable = (name, label, metric, labelName, extra = '') => ({
  name,
  label,
  type: 'query',
  datasource: DATASOURCE,
  definition: `label_values(${metric}${extra}, ${labelName})`,
  query: { query: `label_values(${metric}${extra}, ${labelName})`, refId: name, qryType: 1 },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { text: ['All'], value: ['$__all'] },
});

const mark = (name, iconColor, expr, titleFormat) => ({ name, iconColor, datasource: DATASOURCE, enable: true, expr, step: '1m', titleFormat });

function layOut() {
  const panels = [];
  let y = 0;
  const add = (entry, place) => panels.push({ id: panels.length + 1, ...entry, gridPos: place });
  for (const [title, entries] of Object.entries(ROWS)) {
    add({ type: 'row', title, collapsed: false, panels: [] }, { x: 0, y, w: COLUMNS, h: 1 });
    y += 1;
    let x = 0;
    let height = 0;
    for (const { width, ...entry } of entries) {
      if (x + width > COLUMNS) {
        y += height;
        x = 0;
        height = 0;
      }
      const h = entry.type === 'stat' ? HEIGHT / 2 : HEIGHT;
      add(entry, { x, y, w: width, h });
      x += width;
      height = Math.max(height, h);
    }
    y += height;
  }
  return panels;
}

const dashboard = {
  uid: 'reelfuse',
  title: 'reelfuse',
  description: 'The recommendation server: made by scripts/build-dashboard.mjs from the metrics in docs/operations.md',
  tags: ['reelfuse'],
  schemaVersion: 39,
  version: 1,
  editable: true,
  graphTooltip: 1,
  refresh: '30s',
  time: { from: 'now-3h', to: 'now' },
  timezone: 'browser',
  annotations: {
    list: [
      mark('Swaps', 'purple', `changes(reelfuse_swaps_total${of()}[1m]) > 0`, 'swap {{outcome}} on {{instance}}'),
      mark('Starts', 'blue', `changes(reelfuse_process_start_time_seconds${of()}[1m]) > 0`, 'start of {{instance}}'),
    ],
  },
  templating: {
    list: [
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {}, refresh: 1 },
      variable('job', 'Job', 'reelfuse_build_info', 'job'),
      variable('instance', 'Server', 'reelfuse_build_info', 'instance', '{job=~"$job"}'),
    ],
  },
  links: [],
  panels: layOut(),
};

const text = `${JSON.stringify(dashboard, null, 1)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text) {
    process.stderr.write('ops/grafana/reelfuse.json is not what scripts/build-dashboard.mjs describes: run npm run dashboard\n');
    process.exitCode = 1;
  }
} else writeFileSync(FILE, text);
