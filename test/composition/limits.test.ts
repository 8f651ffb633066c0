import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { memoryLimit, processors } from '../../src/composition/limits.js';
import { catalogueSize, poolSettings } from '../../src/composition/settings.js';
import { readConfig } from '../../src/config.js';
import { checkMemory } from '../../src/maintenance/doctor/memory.js';
import { temporaryFolder } from '../temporary-folder.js';

test('processors are those that the control group gives time for', (t) => {
  const all = availableParallelism();
  const second = temporaryFolder(t);
  const withMax = (text: string): number => {
    writeFileSync(join(second, 'cpu.max'), text);
    return processors(second);
  };
  assert.equal(withMax('100000 100000\n'), 1);
  assert.equal(withMax('50000 100000\n'), 1);
  assert.equal(withMax('150000 100000\n'), Math.min(2, all));
  assert.equal(withMax('max 100000\n'), all);
  mkdirSync(join(second, 'system.slice', 'reelfuse.service'), { recursive: true });
  writeFileSync(join(second, 'system.slice', 'reelfuse.service', 'cpu.max'), '100000 100000\n');
  assert.equal(processors(second, '0::/system.slice/reelfuse.service\n'), 1);
  assert.equal(processors(second, '0::/docker/of-the-host\n'), all);
  const first = temporaryFolder(t);
  mkdirSync(join(first, 'cpu'));
  writeFileSync(join(first, 'cpu', 'cpu.cfs_period_us'), '100000\n');
  const withQuota = (text: string): number => {
    writeFileSync(join(first, 'cpu', 'cpu.cfs_quota_us'), text);
    return processors(first);
  };
  assert.equal(withQuota('100000\n'), 1);
  assert.equal(withQuota('-1\n'), all);
  mkdirSync(join(first, 'cpu', 'kubepods'));
  for (const name of ['cpu.cfs_quota_us', 'cpu.cfs_period_us']) writeFileSync(join(first, 'cpu', 'kubepods', name), '100000\n');
  assert.equal(processors(first, '7:memory:/kubepods\n4:cpu,cpuacct:/kubepods\n'), 1);
  assert.equal(processors(first, '7:memory:/kubepods\n4:cpuset:/kubepods\n'), all);
  assert.equal(processors(temporaryFolder(t)), all); // no control groups
});

test('one processor gets one recommender', (t) => {
  t.mock.method(process, 'constrainedMemory', () => 0);
  assert.ok(memoryLimit() > 2 ** 20); // no limit: the machine's
  assert.ok(poolSettings(readConfig({})).workers >= 1);
});

test('a catalogue is refused where its vectors and graphs alone exceed the limit, and warned of where all of it does', () => {
  const config = readConfig({ REELFUSE_RECOMMENDER_WORKERS: '1' });
  const size = catalogueSize(config, 64, 1_000_000);
  assert.equal(size.certain, 664_000_000); // a snapshot of it has 680 bytes an item (bench/README.md)
  const found = (gib: number) => checkMemory(size, gib * 2 ** 30).status;
  assert.deepEqual([found(0.5), found(1), found(4)], ['failed', 'warning', 'ok']);
  const twice = catalogueSize(readConfig({ REELFUSE_RECOMMENDER_WORKERS: '2' }), 64, 1_000_000);
  assert.ok(twice.certain > size.certain);
  assert.match(checkMemory(twice, 2 ** 30).detail, /^1000000 items with 2 replicas of the graph take (more than|about) [\d.]+ (MiB|GiB), /);
});
