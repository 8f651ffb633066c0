import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEY_SLOTS, siftDown, siftUp, similarityKey, similarityOf } from '../../src/index/slot-keys.js';
import { randomOf, signedRandomOf } from '../random.js';

test('keys sort by falling similarity, then by rising slot, and hold both', () => {
  const slots = [0, 1, 77, KEY_SLOTS - 1];
  const similarities = [3.5, 1, 1e-30, 0, -1e-30, -0.25, -70].map(Math.fround);
  const pairs = similarities.flatMap((similarity) => slots.map((slot) => ({ similarity, slot })));
  const keys = pairs.map(({ similarity, slot }) => similarityKey(similarity, slot));
  assert.deepEqual(
    keys,
    keys.toSorted((a, b) => a - b),
  );
  assert.deepEqual(
    keys.map((key) => ({ similarity: similarityOf(key), slot: key % KEY_SLOTS })),
    pairs,
  );
});

test('a heap keeps the largest keys, the smallest of them on top', () => {
  const random = randomOf(3);
  const keys = Array.from({ length: 500 }, () => Math.floor(random() * 1000));
  const heap = new Float64Array(20);
  keys.forEach((key, n) => {
    if (n < heap.length) siftUp(heap, n, key);
    else if (key > (heap[0] ?? NaN)) siftDown(heap, heap.length, key);
  });
  const largest = keys.toSorted((a, b) => a - b).slice(-heap.length);
  assert.equal(heap[0], largest[0]);
  assert.deepEqual([...heap.toSorted()], largest);
});

test('similarities that differ in one bit are told apart', () => {
  const next = signedRandomOf(5);
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  for (let n = 0; n < 1000; n++) {
    float[0] = next();
    const similarity = float[0];
    bits[0] = (bits[0] as number) + 1; // one step away from 0
    assert.equal(Math.sign(similarityKey(float[0], 5) - similarityKey(similarity, 5)), similarity < 0 ? 1 : -1);
  }
});
