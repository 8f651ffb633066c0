import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageFile } from '../../src/package-root.js';
import { build, clip, putClips, view } from '../build.js';

const run = promisify(execFile);

test('the report of a running server is printed as a table with every figure, or as JSON', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 30);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const served = await api.recommend({ history: [clip(1)], k: 20 });
  const { recommendation_id: id, items } = served.body;
  const at = new Date().toISOString();
  const events = [1, 15].map((rank) => ({ ...view(`e-${rank}`, 'u', items[rank - 1]?.item_id ?? '', at), recommendation_id: id }));
  await api.sendEvents(events);

  const report = async (...options: string[]): Promise<string> =>
    (await run(process.execPath, [packageFile('dist', 'src', 'main.js'), 'report', '--url', url, ...options])).stdout;
  const [since = '', titles = '', row = '', rest = ''] = (await report()).split('\n');
  assert.match(since, /^since \d{4}-/);
  assert.deepEqual(titles.split(/ {2,}/), [
    'model',
    'experiment',
    'answered by',
    'surface',
    'positives',
    'HR@10 [95 %]',
    'HR@20 [95 %]',
    'NDCG@10 [95 %]',
  ]);
  const [, , answeredBy, surface, positives, ...figures] = row.split(/ {2,}/);
  assert.deepEqual([answeredBy, surface, positives], ['model', 'feed', '2']);
  assert.deepEqual(
    figures.map((figure) => figure.split(' ')[0]),
    ['0.5000', '1.0000', '0.5000'],
  );
  assert.match(rest, /^0 positive events name no answer/);
  const { groups } = JSON.parse(await report('--json', '--hours', '1')) as { groups: { hr_at_20: { value: number } }[] };
  assert.equal(groups[0]?.hr_at_20.value, 1);
  await assert.rejects(report('--hours', 'x'), /--hours must be a number, got "x"/);
});
