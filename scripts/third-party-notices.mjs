// Writes THIRD_PARTY_NOTICES.md from what is installed for production, or with --check says whether it still holds.
// Versions are not in it, so that an update changes nothing here unless a licence does; `npm run sbom` has them.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FILE = join(ROOT, 'THIRD_PARTY_NOTICES.md');
const NOTICE = /^(licen[cs]e|copying|notice)/i;

/** Code of others that native packages are compiled from or bring along, which has no package of its own. */
const INSIDE = {
  'better-sqlite3': 'SQLite, public domain',
  'hnswlib-node': 'hnswlib, Apache-2.0',
  'onnxruntime-node': 'ONNX Runtime, MIT, Copyright (c) Microsoft Corporation, with the libraries that its own notices name',
};

const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
const read = (...path) => readFileSync(join(ROOT, ...path), 'utf8');
const nameOf = ({ name } = {}) => name ?? '';

/** By name: a package that is there in several versions counts once for each different licence. */
function installed() {
  const found = new Map();
  for (const [path, { dev = false, optional = false }] of Object.entries(packages)) {
    if (path === '' || dev) continue;
    if (!existsSync(join(ROOT, path))) {
      if (optional) continue; // for another platform
      throw new Error(`${path} is not installed: run npm ci`);
    }
    const { name, license, author } = JSON.parse(read(path, 'package.json'));
    const files = readdirSync(join(ROOT, path)).filter((file) => NOTICE.test(file));
    const text = files
      .sort()
      .map((file) => read(path, file).replaceAll('\r\n', '\n').trim())
      .join('\n\n');
    const holder = typeof author === 'string' ? author : nameOf(author);
    const entry = { name, license: license ?? 'see below', text: text === '' ? `${license}, by ${holder}; the package holds no licence text` : text };
    found.set(`${entry.name}\n${entry.license}\n${entry.text}`, entry);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.text < b.text ? -1 : 1));
}

const entries = installed();
const holders = new Map();
for (const { name, text } of entries) holders.set(text, [...(holders.get(text) ?? []), name]);
const rows = entries.map(({ name, license }) => `| ${name} | ${license} | ${INSIDE[name] ?? ''} |`);
const sections = [...holders].map(([text, names]) => `## ${[...new Set(names)].join(', ')}\n\n~~~text\n${text}\n~~~`);
const document = `# Third-party notices

What the server needs at run time and who made it; written by \`npm run notices\`.

| package | licence | holds |
|---|---|---|
${[...new Set(rows)].join('\n')}

${sections.join('\n\n')}
`;

if (process.argv.includes('--check')) {
  if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== document) {
    process.stderr.write('THIRD_PARTY_NOTICES.md is not what is installed: run npm run notices\n');
    process.exitCode = 1;
  }
} else writeFileSync(FILE, document);
