import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRejects } from '../../src/cli/rejects-file.js';
import { temporaryFolder } from '../temporary-folder.js';

test('a row that a killed import has kept is kept once, and the line that the kill has cut goes', (t) => {
  const file = join(temporaryFolder(t), 'rejects.jsonl');
  writeFileSync(file, '{"row":1}\n{"row":2}\n{"ro');
  const rejects = openRejects(file);
  for (const row of [2, 3]) rejects.append({ row });
  rejects.close();
  assert.equal(readFileSync(file, 'utf8'), '{"row":1}\n{"row":2}\n{"row":3}\n');
});
