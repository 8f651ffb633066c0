import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, openWhole, PIECE_BYTES, readPieces } from '../src/files.js';
import { temporaryFolder } from './temporary-folder.js';

for (const bytes of [0, 1, PIECE_BYTES, PIECE_BYTES + 5])
  test(`a file of ${bytes} bytes is read whole, by pieces`, (t) => {
    const content = Buffer.alloc(bytes, 'some content');
    const file = join(temporaryFolder(t), 'file');
    writeFileSync(file, content);
    assert.deepEqual(digestOf(file), { sha256: createHash('sha256').update(content).digest('hex'), bytes });
    const pieces: Buffer[] = [];
    readPieces(file, (piece, position) => {
      assert.equal(
        position,
        pieces.reduce((sum, { length }) => sum + length, 0),
      );
      pieces.push(Buffer.from(piece));
    });
    assert.ok(Buffer.concat(pieces).equals(content));
  });

test('a file is as it was until it is written as a whole', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'figures.json');
  writeFileSync(file, 'old');
  openWhole(file).discard();
  const whole = openWhole(file);
  assert.equal(readFileSync(file, 'utf8'), 'old');
  whole.write('new');
  assert.deepEqual([readFileSync(file, 'utf8'), readdirSync(folder)], ['new', ['figures.json']]);
});
