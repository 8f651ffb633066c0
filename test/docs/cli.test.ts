import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { createProgram } from '../../src/cli/program.js';
import { packageFile } from '../../src/package-root.js';

const guide = readFileSync(packageFile('docs', 'cli.md'), 'utf8');

test('the guide has every command with every option, and no other', () => {
  const rows = new Map([...guide.matchAll(/^\| `(\w+)` \| .+ \| (.*)\|$/gm)].map(([, name = '', options = '']) => [name, options]));
  const { commands } = createProgram(() => undefined);
  assert.deepEqual(
    [...rows.keys()],
    commands.map((command) => command.name()),
  );
  for (const command of commands) {
    const told = [...(rows.get(command.name()) ?? '').matchAll(/`(--[\w-]+)/g)].map(([, option]) => option);
    assert.deepEqual(told.sort(), command.options.map(({ long }) => long ?? '').sort(), command.name());
  }
});

test('the guide has every exit code', () => {
  const told = [...guide.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, code, meaning]) => [Number(code), meaning]);
  assert.deepEqual(told, EXIT_CODES);
});
