import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import ts from 'typescript';
import { parse } from 'yaml';
import { PACKAGE_ROOT, packageFile } from '../../src/package-root.js';
import { build, clip, demoStates, otherModel } from '../build.js';
import { startFaultyProxy } from '../client/faulty-proxy.js';
import { temporaryFolder } from '../temporary-folder.js';

const LANGUAGES = ['sh', 'ts', 'python'] as const;
type Language = (typeof LANGUAGES)[number];

const guide = readFileSync(packageFile('docs', 'api.md'), 'utf8');
const { paths } = parse(readFileSync(packageFile('openapi', 'openapi.yaml'), 'utf8')) as { paths: Record<string, Record<string, object>> };
const operations = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));

const blocksOf = (text: string, language: Language): string[] =>
  [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, tag, code = '']) => (tag === language ? [code] : []));

/** What the requests were, by the path of the API description. */
function operationOf(method: string, url: string): string | undefined {
  const path = url.split('?')[0] ?? '';
  // a path without parameters goes before one with them
  const candidates = Object.keys(paths).sort((a, b) => Number(a.includes('{')) - Number(b.includes('{')));
  const found = candidates.find((template) => new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`).test(path));
  return found === undefined ? undefined : `${method} ${found}`;
}

/** A server with the demo, and the guide's words in one language made to fit it. */
async function setUp(t: TestContext, language: Language) {
  const { app } = await build(t, { REELFUSE_MODEL_DIR: '' });
  const proxy = await startFaultyProxy(t, await app.listen({ host: '127.0.0.1', port: 0 }));
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'clip.safetensors'), safetensors());
  const artifact = await otherModel(t);
  const blocks = blocksOf(guide, language).map((code) =>
    code.replaceAll('http://127.0.0.1:8080', proxy.url).replaceAll('/models/tonight/artifact', artifact),
  );
  const everyOperation = (): void => {
    const called = new Set(proxy.requests.map(({ method, url }) => operationOf(method, url)));
    assert.deepEqual(
      operations.filter((operation) => !called.has(operation)),
      [],
      'these were not called',
    );
  };
  return { folder, blocks, everyOperation };
}

/** One clip's hidden states as the extractor writes them. */
function safetensors(): Buffer {
  const { shape, data, dtype } = demoStates(clip(1));
  const states = Buffer.from(data, 'base64');
  const header = Buffer.from(
    JSON.stringify({ hidden_states: { dtype: dtype === 'float16' ? 'F16' : 'F32', shape, data_offsets: [0, states.length] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, states]);
}

const run = (file: string, args: readonly string[], cwd: string, more: Record<string, string> = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(file, args, { cwd, env: { PATH: process.env.PATH, HOME: cwd, ...more } }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stderr}\n${stdout}`));
    });
  });

const has = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

test('the guide has every operation of the API in every language', () => {
  const sections = new Map(
    guide.split(/^##+ /m).flatMap((section): [string, string][] => {
      const [, title] = /^`([A-Z]+ \S+)`\n/.exec(section) ?? [];
      return title === undefined ? [] : [[title, section]];
    }),
  );
  for (const operation of operations) {
    const text = sections.get(operation);
    assert.ok(text !== undefined, `${operation} has no section`);
    for (const language of LANGUAGES) assert.ok(blocksOf(text, language).length > 0, `${operation} has no ${language}`);
  }
  assert.deepEqual(
    [...sections.keys()].filter((title) => !operations.includes(title)),
    [],
    'sections of what does not exist',
  );
});

test('the guide runs from top to bottom in TypeScript, whose compiler has nothing to say', async (t) => {
  const { folder, blocks, everyOperation } = await setUp(t, 'ts');
  mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true });
  for (const name of ['reelfuse', '@types/node', 'undici-types'])
    symlinkSync(name === 'reelfuse' ? PACKAGE_ROOT : join(PACKAGE_ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'guide.ts'), blocks.join('\n'));
  const options: ts.CompilerOptions = {
    strict: true,
    skipDefaultLibCheck: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ['lib.es2022.d.ts'],
    types: ['node'],
    typeRoots: [join(folder, 'node_modules', '@types')],
  };
  const program = ts.createProgram([join(folder, 'guide.ts')], options);
  const problems = ts.getPreEmitDiagnostics(program);
  assert.equal(
    ts.formatDiagnostics(problems, { getCurrentDirectory: () => folder, getCanonicalFileName: (file) => file, getNewLine: () => '\n' }),
    '',
  );
  program.emit();
  const printed = await run(process.execPath, ['guide.js'], folder);
  assert.match(printed, /^invalid_request \[ \{ pointer: '\/k', detail: 'must be <= 500' \} \]$/m);
  everyOperation();
});

test('the guide runs from top to bottom in Python', { skip: !has('python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))') }, async (t) => {
  const { folder, blocks, everyOperation } = await setUp(t, 'python');
  writeFileSync(join(folder, 'guide.py'), blocks.join('\n'));
  const printed = await run('python3', ['guide.py'], folder, { PYTHONPATH: packageFile('clients', 'python'), PYTHONDONTWRITEBYTECODE: '1' });
  assert.match(printed, /^invalid_request \[\{'pointer': '\/k', 'detail': 'must be <= 500'\}\]$/m);
  everyOperation();
});

test('the guide runs from top to bottom by curl', { skip: !has('curl', '--version') || !has('sh', '-c', 'base64 < /dev/null') }, async (t) => {
  const { folder, blocks, everyOperation } = await setUp(t, 'sh');
  const strict = 'set -e\ncurl() { command curl --fail --show-error "$@"; }\n';
  writeFileSync(join(folder, 'guide.sh'), strict + blocks.join('\n'));
  const printed = await run('sh', ['guide.sh'], folder);
  assert.match(printed, /"status":422,"item_id":"v902","error":\{"code":"invalid_request","pointer":"\/items\/1\/colour"/);
  everyOperation();
});
