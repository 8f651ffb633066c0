import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import ts from 'typescript';
import { PACKAGE_ROOT } from '../../src/package-root.js';
import { temporaryFolder } from '../temporary-folder.js';

/** What a stranger's project may write, and what its compiler must refuse. */
const CONSUMER = `
import { createClient, ReelfuseProblem, type Client, type Filter, type RecommendRequest, type Recommendations } from 'reelfuse/client';

const client: Client = createClient({ baseUrl: 'http://127.0.0.1:8080', apiKey: 'key', retry: { maxAttempts: 2 } });
const filter: Filter = { all: [{ field: 'topic', in: ['cooking', 'travel'] }, { not: { field: 'duration_s', gte: 60 } }] };
const request: RecommendRequest = {
  user_id: 'u', k: 5, filter, boosts: [{ filter, factor: 2 }], explain: 'layers', experiment: { name: 'feed', arms: [{ name: 'a' }, { name: 'b', weight: 2 }] },
};

export async function use(): Promise<Recommendations> {
  const page = await client.recommend(request);
  const [first] = page.items;
  const score: number | undefined = first?.score;
  const share: number | null | undefined = first?.explain?.id_share;
  const fallback: 'no_history' | 'unknown_history' | 'starting' | 'deadline' | null = page.fallback;
  const { accepted } = await client.sendEvents([{ user_id: 'u', item_id: 'v', type: 'view', at: new Date(), watch_ms: 900 }]);
  const receipt = await client.putItem('v', { hidden_states: { dtype: 'float16', shape: [7, 384], data: '' }, attributes: { tags: ['a'] } });
  await client.patchItem('v', { attributes: { tags: null } }, { ifMatch: receipt.sequence });
  for await (const { row, status, error } of client.importItems([{ item_id: 'v' }])) console.log(row + status, error?.pointer);
  for await (const { availability } of client.items({ state: 'searchable' })) console.log(availability.length);
  console.log(score, share, fallback, accepted);

  // @ts-expect-error k is a number
  await client.recommend({ k: '20' });
  // @ts-expect-error nothing is called topK
  await client.recommend({ user_id: 'u', topK: 20 });
  // @ts-expect-error there is no such event
  await client.sendEvents([{ user_id: 'u', item_id: 'v', type: 'glance' }]);
  // @ts-expect-error of whom?
  await client.sendEvents([{ item_id: 'v', type: 'view' }]);
  // @ts-expect-error two numbers: layers and hidden size
  await client.putItem('v', { hidden_states: { dtype: 'float16', shape: [7], data: '' } });
  // @ts-expect-error only null and values
  await client.patchItem('v', { attributes: { tags: { a: 1 } } });
  // @ts-expect-error there is no such state
  await client.listItems({ state: 'gone' });
  // @ts-expect-error a condition needs a field
  const wrong: Filter = { eq: 'cooking' };
  // @ts-expect-error the answer has no such field
  console.log(page.total, wrong);
  return page;
}

export const isGone = (error: unknown): boolean => error instanceof ReelfuseProblem && error.code === 'cursor_expired' && error.errors.length === 0;
`;

const COMMON: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
  skipDefaultLibCheck: true, // those of TypeScript itself; the package's are checked
  target: ts.ScriptTarget.ES2022,
};
const PROJECTS: Record<string, ts.CompilerOptions> = {
  'of Node': { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, lib: ['lib.es2022.d.ts'], types: ['node'] },
  'of a browser, without the types of Node': {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
  },
};

for (const [name, options] of Object.entries(PROJECTS)) {
  test(`the package gives its types to a project ${name}`, (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true });
    symlinkSync(PACKAGE_ROOT, join(folder, 'node_modules', 'reelfuse'));
    symlinkSync(join(PACKAGE_ROOT, 'node_modules', '@types', 'node'), join(folder, 'node_modules', '@types', 'node'));
    symlinkSync(join(PACKAGE_ROOT, 'node_modules', 'undici-types'), join(folder, 'node_modules', 'undici-types'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
    const typeRoots = [join(folder, 'node_modules', '@types')];
    const program = ts.createProgram([join(folder, 'consumer.ts')], { ...COMMON, ...options, typeRoots });
    const problems = ts.getPreEmitDiagnostics(program);
    assert.equal(
      ts.formatDiagnostics(problems, { getCurrentDirectory: () => folder, getCanonicalFileName: (file) => file, getNewLine: () => '\n' }),
      '',
    );
  });
}

test('the types are what the API description gives', async () => {
  await promisify(execFile)('npm', ['run', '--silent', 'openapi:types', '--', '--check'], { cwd: PACKAGE_ROOT });
});

test('the client imports nothing but itself', () => {
  const folder = join(PACKAGE_ROOT, 'src', 'client');
  for (const name of readdirSync(folder))
    for (const { fileName } of ts.preProcessFile(readFileSync(join(folder, name), 'utf8')).importedFiles)
      assert.match(fileName, /^\.\/[\w-]+\.js$/, `${name} imports ${fileName}`);
});
