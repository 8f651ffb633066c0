import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGolden } from '../../src/model/golden.js';

test('golden outputs may differ by a ten-thousandth on a CPU, of the largest where that is above 1, and by a hundredth of it on a GPU', () => {
  const check = (provider: string, actual: number[], expected: number[]): void =>
    checkGolden('t.onnx v', provider, Float32Array.from(actual), Float32Array.from(expected));
  check('cpu', [0.50005], [0.5]);
  check('cpu', [700.03, -3.03], [700, -3]);
  check('webgpu', [703, -3], [700, -3]);
  for (const [provider, actual, expected] of [
    ['cpu', [0.5003], [0.5]],
    ['cpu', [700.3], [700]],
    ['webgpu', [710], [700]],
    ['cpu', [NaN], [0.5]],
    ['cpu', [0.5], [0.5, 0.5]],
  ] as const)
    assert.throws(() => check(provider, [...actual], [...expected]), /t\.onnx v/);
});
