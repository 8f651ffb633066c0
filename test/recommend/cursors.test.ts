import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { hashOf } from '../../src/domain/item-hash.js';
import { createCursors } from '../../src/recommend/cursors.js';

test('a cursor ends with the first half of an HMAC of the rest, whatever the length of the secret', () => {
  for (const secret of ['', 'secret', 'x'.repeat(64), 'y'.repeat(200)]) {
    const bytes = Buffer.from(createCursors(secret, 10).seal([hashOf('a'), hashOf('b')], 'id', 1_000_000) ?? '', 'base64url');
    const mac = createHmac('sha256', secret).update(bytes.subarray(0, -16)).digest();
    assert.deepEqual(bytes.subarray(-16), mac.subarray(0, 16));
  }
});

test('a cursor expires', () => {
  const cursors = createCursors('secret', 10);
  const sealed = cursors.seal([hashOf('a'), hashOf('b')], 'id', 1_000_000) ?? '';
  assert.deepEqual(cursors.open(sealed, 'id', 1_500_000).shown, [hashOf('a'), hashOf('b')]);
  assert.throws(() => cursors.open(sealed, 'id', 1_700_000), /expired/);
  assert.throws(() => createCursors('another', 10).open(sealed, 'id', 1_500_000), /not valid/);
  assert.equal(
    cursors.seal(
      Array.from({ length: 5001 }, (_, n) => n),
      'id',
      0,
    ),
    null,
  );
});

test('a hash of item ids has no collisions among many alike ids', () => {
  assert.equal(new Set(Array.from({ length: 200_000 }, (_, n) => hashOf(`item-${n}`))).size, 200_000);
});
