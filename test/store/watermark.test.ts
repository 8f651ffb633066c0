import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWatermark } from '../../src/store/watermark.js';

test('a watermark only grows, and tells those who wait for what it has reached', async () => {
  const watermark = createWatermark(3);
  assert.equal(await watermark.reached(3, 0), true);
  const [four, five, late] = [watermark.reached(4, 60_000), watermark.reached(5, 60_000), watermark.reached(9, 1)];
  watermark.advance(4);
  watermark.advance(2);
  assert.equal(watermark.at, 4);
  assert.equal(await four, true);
  assert.equal(await late, false);
  watermark.advance(9);
  assert.deepEqual([await five, await watermark.reached(9, 0), watermark.at], [true, true, 9]);
});
