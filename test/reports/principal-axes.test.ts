import assert from 'node:assert/strict';
import { test } from 'node:test';
import { principalAxes } from '../../src/reports/principal-axes.js';
import { randomOf } from '../random.js';

/** Rows spread by 3 along one direction, by 1.5 along another, by .1 along the rest, around 5. */
function spread(count: number, dim: number): { rows: Float32Array; long: number[]; short: number[] } {
  const random = randomOf(7);
  const long = Array.from({ length: dim }, (_, i) => (i === 1 ? 0.8 : i === 2 ? -0.6 : 0));
  const short = Array.from({ length: dim }, (_, i) => (i === 0 ? 1 : 0));
  const around = (): number => random() + random() + random() - 1.5;
  const rows = new Float32Array(count * dim);
  for (let row = 0; row < count; row++) {
    const [a, b] = [3 * around(), 1.5 * around()];
    for (let i = 0; i < dim; i++) rows[row * dim + i] = 5 + a * (long[i] ?? 0) + b * (short[i] ?? 0) + 0.1 * around();
  }
  return { rows, long, short };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0);

test('the axes are the two directions of most variance, orthogonal, of length 1, and upright', async () => {
  const { rows, long, short } = spread(500, 24);
  const { x, y, mean, variance } = await principalAxes(rows, 24);
  assert.ok(dot(x, long) > 0.999); // the larger of its components is the positive one
  assert.ok(dot(y, short) > 0.999);
  assert.ok(Math.abs(dot(x, y)) < 1e-9 && Math.abs(dot(x, x) - 1) < 1e-9 && Math.abs(dot(y, y) - 1) < 1e-9);
  mean.forEach((value) => assert.ok(Math.abs(value - 5) < 0.2));
  assert.ok(variance[0] > 0.7 && variance[1] > 0.1 && variance[0] + variance[1] < 1);
});

test('rows without two directions, one row and none have axes too', async () => {
  const line = Float32Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? n : 1));
  for (const rows of [line, Float32Array.from([1, 2, 3]), new Float32Array(0)]) {
    const { x, y, variance } = await principalAxes(rows, 3);
    for (const value of [...x, ...y, ...variance]) assert.ok(Number.isFinite(value));
    assert.ok(Math.abs(dot(x, y)) < 1e-9);
  }
});

test('other work has its turn while many long rows are gone through', async () => {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await principalAxes(spread(2000, 512).rows, 512);
  isDone = true;
  assert.ok(turns >= 48, `${turns} turns`); // a pass over a million values takes 16, and there are three at least
});
