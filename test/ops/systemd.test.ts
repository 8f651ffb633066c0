import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.js';
import { EXIT } from '../../src/cli/exit-codes.js';
import { packageFile } from '../../src/package-root.js';
import { temporaryFolder } from '../temporary-folder.js';

const UNIT = readFileSync(packageFile('ops', 'systemd', 'reelfuse.service'), 'utf8');
const valueOf = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(UNIT)?.[1] ?? '';

test('the unit starts the server as npm start does, with settings that it accepts', () => {
  const { scripts } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { scripts: { start: string } };
  const flags = /node (.*)dist\/src\/main\.js serve/.exec(scripts.start)?.[1] ?? '';
  assert.equal(valueOf('ExecStart'), `/usr/bin/node ${flags}/opt/reelfuse/dist/src/main.js serve`);
  const settings = Object.fromEntries(
    valueOf('Environment')
      .split(' ')
      .map((pair) => pair.split('=')),
  ) as Record<string, string>;
  assert.equal(readConfig(settings).dataDir, `/var/lib/${valueOf('StateDirectory')}`);
  assert.equal(valueOf('RestartPreventExitStatus'), String(EXIT.usage));
  assert.deepEqual([valueOf('Type'), valueOf('NotifyAccess')], ['notify', 'all']);
});

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

test('systemd accepts the unit', { skip: !hasAnalyze }, (t) => {
  const file = join(temporaryFolder(t), 'reelfuse.service');
  writeFileSync(file, UNIT.replace('/usr/bin/node', process.execPath));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});
