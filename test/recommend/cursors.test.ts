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

/** Sealed before the signature came from node:crypto's HMAC, at 1 December 2025 for ten minutes. */
const SEALED_BEFORE = {
  secret: 'AWks3Ngch4s-Em3e0csMesj047NEOcON4C-DC_G8uHrCdpBCnmFLKXi_3IWJ4mc',
  '': 'AWks3Ngch4s-Em3e0csMesj047NEOcON4C-DC_G8uI4ttZKelpTWMnyTekFXvLI',
  ['y'.repeat(200)]: 'AWks3Ngch4s-Em3e0csMesj047NEOcON4C-DC_G8uFegY7PpUH4-T33wK21_Q8k',
};

test('cursors that an earlier version sealed go on, and sealing gives the same bytes', () => {
  const sealedAt = 1_764_547_200_000;
  const identity = '["u42",null,null]';
  const shown = ['a', 'b', 'clip-17'].map(hashOf);
  for (const [secret, sealed] of Object.entries(SEALED_BEFORE)) {
    const cursors = createCursors(secret, 10);
    assert.deepEqual(cursors.open(sealed, identity, sealedAt), { shown, expiresAt: sealedAt + 600_000 });
    assert.equal(cursors.seal(shown, identity, sealedAt), sealed);
  }
});
