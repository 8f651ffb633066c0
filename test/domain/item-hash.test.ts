import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../src/domain/item-hash.js';

test('an id has the same hash in every version: cursors hold it', () => {
  const hashes = { '': 15216031280547, a: 223254460036323, 'clip-17': 52239887613112, '\u{1F600}': 251394043553969 };
  for (const [itemId, hash] of Object.entries(hashes)) assert.equal(hashOf(itemId), hash);
});

test('a hash is a whole number of 48 bits, of which each is set about as often as not', () => {
  const ids = Array.from({ length: 20_000 }, (_, n) => `item-${n}`);
  const set = new Array<number>(48).fill(0);
  for (const hash of ids.map(hashOf)) {
    assert.ok(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 48);
    for (let bit = 0; bit < 48; bit++) set[bit] = (set[bit] ?? 0) + (Math.floor(hash / 2 ** bit) % 2);
  }
  for (const [bit, times] of set.entries()) assert.ok(Math.abs(times / ids.length - 0.5) < 0.02, `bit ${bit}: ${times}`);
});

test('ids that differ in order or length only have other hashes', () => {
  const ids = ['ab', 'ba', 'abab', 'aab', 'a', 'aa', 'a\0', '\0a', ' a', 'a '];
  assert.equal(new Set(ids.map(hashOf)).size, ids.length);
});
