import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { packageFile } from '../../src/package-root.js';
import { build, clip, putClips, view } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const PROMETHEUS = packageFile('ops', 'prometheus');
const read = (...parts: string[]): string => readFileSync(packageFile(...parts), 'utf8');

interface Rule {
  record?: string;
  alert?: string;
  expr: string;
}
const rulesOf = (file: string): Rule[] =>
  (parse(read('ops', 'prometheus', file)) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
const RECORDED = rulesOf('recording-rules.yaml');
const ALERTS = rulesOf('alerts.yaml');

interface Panel {
  type: string;
  title: string;
  id: number;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}
const DASHBOARD = JSON.parse(read('ops', 'grafana', 'reelfuse.json')) as {
  panels: Panel[];
  annotations: { list: { expr: string }[] };
  templating: { list: { definition?: string }[] };
};

interface Family {
  type: string;
  help: string;
  /** The values that were seen, by label. */
  labels: Map<string, Set<string>>;
}

/** What a server says after it has met every kind of request that the dashboard names. */
async function exposition(t: TestContext): Promise<string> {
  const { app, api, services } = await build(t, {}, undefined, { load: false });
  const ask = (url: string, payload: object) => api.raw({ method: 'POST', url, payload });
  await api.ready();
  await ask('/v1/recommendations', { history: [clip(1)], k: 2, at_least_sequence: 1e9, deadline_ms: 5 }); // 503
  await services.load();
  await putClips(app, 5);
  await ask('/v1/events', { events: [view('e1', 'u', clip(1))] });
  await ask('/v1/recommendations', { history: [clip(1)], k: 2 });
  await ask(`/v1/items/${clip(1)}/similar`, { k: 2 });
  await api.recommendForUser('u');
  await ask('/v1/snapshots', {});
  await api.raw('/metrics');
  return await api.metrics();
}

function familiesOf(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const line of text.split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = '', value = ''] = comment;
      const family = families.get(name) ?? { type: '', help: '', labels: new Map() };
      families.set(name, { ...family, [kind === 'HELP' ? 'help' : 'type']: value });
      continue;
    }
    const sample = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line);
    if (sample === null) continue;
    const family = families.get(familyOf(sample[1] ?? '', families));
    assert.ok(family !== undefined, line);
    for (const [, label = '', value = ''] of (sample[2] ?? '').matchAll(/(\w+)="([^"]*)"/g))
      family.labels.set(label, (family.labels.get(label) ?? new Set()).add(value));
  }
  return families;
}

const familyOf = (metric: string, families: Map<string, Family>): string =>
  families.has(metric) ? metric : metric.replace(/_(bucket|sum|count)$/, '');

/** Of the scrape, not of the server. */
const SCRAPED = new Set(['job', 'instance']);
const SELECTOR = /(?<![\w:])((?:\w+:)?reelfuse_\w+(?::\w+)?)(?:\{([^}]*)\})?/g;
const MATCHER = /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g;

/** What an expression asks for that no server has. */
function unknownIn(expression: string, families: Map<string, Family>): string[] {
  const unknown: string[] = [];
  const grouped = new Set<string>();
  for (const [, name = '', matchers = ''] of expression.matchAll(SELECTOR)) {
    if (name.includes(':')) {
      if (!RECORDED.some(({ record }) => record === name)) unknown.push(name);
      for (const label of (name.split(':')[0] ?? '').split('_')) grouped.add(label); // its level names the labels that are left
      continue;
    }
    const family = families.get(familyOf(name, families));
    if (family === undefined) {
      unknown.push(name);
      continue;
    }
    for (const label of family.labels.keys()) grouped.add(label);
    for (const [, label = '', operator = '', value = ''] of matchers.matchAll(MATCHER)) {
      if (SCRAPED.has(label)) continue;
      const values = family.labels.get(label);
      if (values === undefined) unknown.push(`${name}{${label}}`);
      else
        for (const wanted of operator.endsWith('~') ? value.split('|') : [value])
          if (![...values].some((seen) => new RegExp(`^(?:${wanted})$`).test(seen))) unknown.push(`${name}{${label}="${wanted}"}`);
    }
  }
  for (const [, labels = ''] of expression.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of labels.split(',').map((part) => part.trim()))
      if (label !== '' && !SCRAPED.has(label) && !grouped.has(label)) unknown.push(`by (${label})`);
  return unknown;
}

const panelExpressions = DASHBOARD.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const dashboardExpressions = [
  ...panelExpressions,
  ...DASHBOARD.annotations.list.map(({ expr }) => expr),
  ...DASHBOARD.templating.list.map(({ definition }) => definition ?? ''),
];
const ruleExpressions = [...RECORDED, ...ALERTS].map(({ expr }) => expr);

test('what the dashboard, the rules and the documents say of metrics is what a server has', async (t) => {
  const text = await exposition(t);
  const families = familiesOf(text);

  await t.test('every metric, label and label value that is asked for exists', () => {
    assert.deepEqual(
      [...dashboardExpressions, ...ruleExpressions].flatMap((expression) => unknownIn(expression, families)),
      [],
    );
    assert.deepEqual(unknownIn('rate(reelfuse_gone_total[5m])', families), ['reelfuse_gone_total']);
    assert.deepEqual(unknownIn('sum by (item) (reelfuse_items{state="lost",user="x"})', families), [
      'reelfuse_items{state="lost"}',
      'reelfuse_items{user}',
      'by (item)',
    ]);
  });

  const own = [...families].filter(([name]) => !/^reelfuse_(nodejs|process)_/.test(name)).sort(([a], [b]) => (a < b ? -1 : 1));

  await t.test('everything that the server measures is shown or watched', () => {
    const used = new Set([...dashboardExpressions, ...ruleExpressions].flatMap((text) => [...text.matchAll(SELECTOR)].map(([, name = '']) => name)));
    const isUsed = (name: string): boolean => ['', '_bucket', '_sum', '_count'].some((part) => used.has(name + part));
    assert.deepEqual(
      own.map(([name]) => name).filter((name) => !isUsed(name)),
      [],
    );
  });

  await t.test('docs/operations.md lists them', () => {
    const rows = own.map(([name, { type, help, labels }]) => {
      const shown = [...labels.keys()].filter((label) => label !== 'le').map((label) => `\`${label}\``);
      return `| \`${name}\` | ${type} | ${shown.join(', ')} | ${help} |`;
    });
    const documented = read('docs', 'operations.md')
      .split('\n')
      .filter((line) => line.startsWith('| `reelfuse_'));
    assert.deepEqual(documented, rows);
  });

  await t.test('promtool finds nothing to say against the exposition', (t) => {
    promtool(t, ['check', 'metrics'], text);
  });
});

test('the dashboard has its rows, lays panels out side by side, and is what its script writes', () => {
  assert.deepEqual(
    DASHBOARD.panels.filter(({ type }) => type === 'row').map(({ title }) => title),
    ['Traffic', 'Latency by stage', 'Quality', 'Catalogue', 'Model', 'Process'],
  );
  const { panels } = DASHBOARD;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const [position, { title, gridPos: a }] of panels.entries()) {
    assert.ok(a.x + a.w <= 24, title);
    for (const { title: other, gridPos: b } of panels.slice(position + 1))
      assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y, `${title} lies on ${other}`);
  }
  const { status, stderr } = spawnSync(process.execPath, [packageFile('scripts', 'build-dashboard.mjs'), '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('every recorded series is used', () => {
  const used = [...dashboardExpressions, ...ALERTS.map(({ expr }) => expr)].join('\n');
  for (const { record = '' } of RECORDED) assert.ok(used.includes(record), record);
});

test('every alert says what to do, and a unit test makes it fire', () => {
  const documents = read('docs', 'operations.md');
  const { tests } = parse(read('ops', 'prometheus', 'rules.test.yaml')) as {
    tests: { alert_rule_test?: { alertname: string; exp_alerts?: unknown[] }[] }[];
  };
  const cases = tests.flatMap(({ alert_rule_test: rules = [] }) => rules);
  for (const { alert = '' } of ALERTS) {
    assert.match(documents, new RegExp(`^\\| \`${alert}\``, 'm'), `${alert} is missing in docs/operations.md`);
    assert.ok(
      cases.some(({ alertname, exp_alerts: expected = [] }) => alertname === alert && expected.length > 0),
      `${alert} is not tested`,
    );
  }
});

test('promtool accepts the rules, their unit tests, the configuration and every query of the dashboard', (t) => {
  promtool(t, ['check', 'rules', 'recording-rules.yaml', 'alerts.yaml']);
  promtool(t, ['test', 'rules', 'rules.test.yaml']);
  const folder = temporaryFolder(t);
  const configuration = read('ops', 'prometheus', 'prometheus.yaml').replaceAll('/etc/prometheus/', `${PROMETHEUS}/`);
  writeFileSync(join(folder, 'key'), 'k');
  writeFileSync(join(folder, 'prometheus.yaml'), configuration.replace('/run/secrets/metrics-key', join(folder, 'key')));
  promtool(t, ['check', 'config', join(folder, 'prometheus.yaml')]);
  const queries = panelExpressions.map((expr, number) => ({ record: `query:number${number}`, expr: expr.replaceAll('$__rate_interval', '5m') }));
  writeFileSync(join(folder, 'queries.yaml'), JSON.stringify({ groups: [{ name: 'dashboard', rules: queries }] }));
  promtool(t, ['check', 'rules', join(folder, 'queries.yaml')]);
});

/** Skipped where Prometheus is not installed, unless REQUIRE_PROMTOOL says that it must be. */
function promtool(t: TestContext, args: string[], input = ''): void {
  const { error, status, stdout, stderr } = spawnSync('promtool', args, { cwd: PROMETHEUS, encoding: 'utf8', input });
  if (error !== undefined && process.env.REQUIRE_PROMTOOL !== '1') {
    t.skip('promtool is not installed');
    return;
  }
  assert.equal(status, 0, `${error?.message ?? ''}${stdout}${stderr}`);
}
