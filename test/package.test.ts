import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT, packageFile } from '../src/package-root.js';
import { temporaryFolder } from './temporary-folder.js';

const manifest = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as {
  bin: Record<string, string>;
  exports: Record<string, string | Record<string, string>>;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  scripts: { sbom: string };
};

const succeeds = (command: string, ...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: PACKAGE_ROOT, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
};

test('the package holds what a server needs, its licences, and nothing of its workshop', () => {
  const [{ files, size }] = JSON.parse(succeeds('npm', 'pack', '--dry-run', '--json', '--ignore-scripts')) as [
    { files: { path: string }[]; size: number },
  ];
  const paths = new Set(files.map(({ path }) => path));
  for (const wanted of [
    ...Object.values(manifest.bin),
    'src/console/index.html',
    'openapi/openapi.yaml',
    'models/demo/artifact/model.json',
    'models/scan.onnx',
    'migrations/sqlite/001-initial.sql',
    'ops/prometheus/alerts.yaml',
    'ops/grafana/reelfuse.json',
    'scripts/build-index.mjs',
    'LICENSE',
    'README.md',
    'THIRD_PARTY_NOTICES.md',
  ])
    assert.ok(paths.has(wanted), wanted);
  const strange = [...paths].filter((path) => /^(test|bench|data|dist\/(test|bench)|models\/(dff|tests))\/|\.map$|secrets|\.tsbuildinfo$/.test(path));
  assert.deepEqual(strange, []);
  assert.ok(size < 16 * 2 ** 20, `${size} bytes`);
});

test('what the package exports exists, and its command can be run', () => {
  for (const target of Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry))))
    assert.ok(existsSync(packageFile(target)), target);
  for (const file of Object.values(manifest.bin)) assert.match(readFileSync(packageFile(file), 'utf8'), /^#!\/usr\/bin\/env node\n/);
});

test('every module that the server imports is a dependency of the package', () => {
  const declared = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)]);
  const folder = packageFile('dist', 'src');
  const missing = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .flatMap((file) => [...readFileSync(join(folder, file), 'utf8').matchAll(/^import .*?'([^'.][^']*)';$|\bimport\('([^'.][^']*)'\)/gm)])
    .map(([, fixed, lazy]) => fixed ?? lazy ?? '')
    .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
    .map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
  assert.ok(missing.includes('fastify') && missing.includes('@opentelemetry/sdk-trace'), 'imports are found');
  assert.deepEqual(
    missing.filter((name) => !declared.has(name)),
    [],
  );
});

test('the notices of others are those of what is installed', () => {
  succeeds(process.execPath, packageFile('scripts', 'third-party-notices.mjs'), '--check');
});

test('the bill of materials lists what a server runs on and nothing that only builds it', (t) => {
  const file = join(temporaryFolder(t), 'sbom.json');
  succeeds('sh', '-c', manifest.scripts.sbom.replace('sbom.cdx.json', `'${file}'`));
  const { bomFormat, components } = JSON.parse(readFileSync(file, 'utf8')) as { bomFormat: string; components: { name: string; version: string }[] };
  assert.equal(bomFormat, 'CycloneDX');
  const names = new Set(components.map(({ name }) => name));
  for (const name of [...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)]) assert.ok(names.has(name), name);
  for (const name of Object.keys(manifest.devDependencies)) assert.ok(!names.has(name), name);
});
