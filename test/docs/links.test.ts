import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { describeSettings } from '../../src/config.js';
import { packageFile } from '../../src/package-root.js';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'bench/README.md',
  'bench/LOG.md',
  'models/README.md',
  'models/LOG.md',
  'models/demo/README.md',
  ...readdirSync(packageFile('docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];
const textOf = (page: string): string => readFileSync(packageFile(page), 'utf8');

/** What a pattern's first group finds in any page, each with its page. */
const findAll = (pattern: RegExp): { page: string; found: string }[] =>
  PAGES.flatMap((page) => Array.from(textOf(page).matchAll(pattern), ([, found = '']) => ({ page, found })));

function checkAll(pattern: RegExp, isThere: (found: string, page: string) => boolean): void {
  const all = findAll(pattern);
  assert.ok(all.length > 0, `${String(pattern)} finds something`);
  for (const { page, found } of all) assert.ok(isThere(found, page), `${page}: ${found}`);
}

/** `## Two commands` is #two-commands */
const anchorsOf = (page: string): string[] =>
  Array.from(textOf(page).matchAll(/^#+ (.+)$/gm), ([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );

test('every link of the documentation leads to a file of this repository, and to a heading in it', () => {
  checkAll(/\]\((?!https?:)([^)\s]+)\)/g, (link, page) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : join(dirname(page), path);
    return existsSync(packageFile(target)) && (anchor === undefined || anchorsOf(target).includes(anchor));
  });
});

test('every setting that the documentation names exists', () => {
  const names = new Set(describeSettings().map(({ name }) => name));
  checkAll(/\b(REELFUSE_[A-Z0-9_]*[A-Z0-9])\b(?!_?…)/g, (name) => names.has(name) || names.has(name.replace(/_FILE$/, '')));
});

test('every command that the documentation names exists', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  checkAll(/\bnpm run (?:--silent )?([\w:-]+)/g, (name) => name in scripts);
  const benches = readFileSync(packageFile('bench', 'main.ts'), 'utf8');
  checkAll(/\bnpm run bench -- ([a-z]+)/g, (name) => new RegExp(`\\b${name}\\b[,:]`).test(benches));
  const commands = readdirSync(packageFile('src', 'cli'))
    .map((name) => readFileSync(packageFile('src', 'cli', name), 'utf8'))
    .join('\n');
  checkAll(/(?:node dist\/src\/main\.js|npx reelfuse|^ {4}reelfuse) ([a-z]+)/gm, (name) => commands.includes(`.command('${name}')`));
  const python = readFileSync(packageFile('models', 'dff', 'cli.py'), 'utf8');
  checkAll(/\bpython -m dff ([a-z-]+)/g, (name) => python.includes(`add_parser("${name}"`) || python.includes(`add_parser(\n        "${name}"`));
});

test('every path of this repository that the documentation names exists', () => {
  checkAll(/`((?:src|docs|ops|bench|models|scripts|test|migrations|openapi|clients)\/[\w./-]*[\w/])`/g, (path) => existsSync(packageFile(path)));
});
