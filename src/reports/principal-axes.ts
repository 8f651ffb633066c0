import { setImmediate as nextTurn } from 'node:timers/promises';

/** Values handled in one turn of the event loop: about a millisecond. */
const SLICE_VALUES = 2 ** 16;
const MAX_ROUNDS = 60;
/** Rounds end when neither axis turns by more than this, which is not visible. */
const SETTLED = 1e-3;

export interface Axes {
  /** [d], mean of the rows. */
  mean: Float64Array;
  /** [d] each, of length 1 and orthogonal; the largest component is positive, so that the same rows give the same map. */
  x: Float64Array;
  y: Float64Array;
  /** Share of the total variance along each axis. */
  variance: [number, number];
}

/**
 * The first two principal components of `rows` [n, d], by orthogonal iteration. It needs no d × d covariance, which would cost more
 * than all rounds together at d = 2048.
 */
export async function principalAxes(rows: Float32Array, dim: number): Promise<Axes> {
  const count = rows.length / dim;
  const mean = new Float64Array(dim);
  let total = 0;
  await eachRow(rows, dim, (first) => {
    for (let i = 0; i < dim; i++) mean[i] = (mean[i] as number) + (rows[first + i] as number) / count; // i < d, first + d <= n d, here and below
  });
  await eachRow(rows, dim, (first) => {
    for (let i = 0; i < dim; i++) total += ((rows[first + i] as number) - (mean[i] as number)) ** 2;
  });
  let x = unit(Float64Array.from({ length: dim }, (_, i) => Math.cos(i + 1)));
  let y = orthogonal(
    Float64Array.from({ length: dim }, (_, i) => Math.sin(3 * i + 1)),
    x,
  );
  let along: [number, number] = [0, 0];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const nextX = new Float64Array(dim);
    const nextY = new Float64Array(dim);
    along = [0, 0];
    await eachRow(rows, dim, (first) => {
      let a = 0;
      let b = 0;
      for (let i = 0; i < dim; i++) {
        const value = (rows[first + i] as number) - (mean[i] as number);
        a += value * (x[i] as number);
        b += value * (y[i] as number);
      }
      for (let i = 0; i < dim; i++) {
        const value = (rows[first + i] as number) - (mean[i] as number);
        nextX[i] = (nextX[i] as number) + a * value;
        nextY[i] = (nextY[i] as number) + b * value;
      }
      along[0] += a * a;
      along[1] += b * b;
    });
    // without variance there is no direction
    const turnedX = along[0] > total * 1e-12 ? unit(nextX) : x;
    const turnedY = along[1] > total * 1e-12 ? orthogonal(nextY, turnedX) : orthogonal(y, turnedX);
    const isSettled = distance(turnedX, x) < SETTLED && distance(turnedY, y) < SETTLED;
    x = turnedX;
    y = turnedY;
    if (isSettled) break;
  }
  return { mean, x: upright(x), y: upright(y), variance: total === 0 ? [0, 0] : [along[0] / total, along[1] / total] };
}

async function eachRow(rows: Float32Array, dim: number, visit: (first: number) => void): Promise<void> {
  const slice = Math.max(1, Math.floor(SLICE_VALUES / dim)) * dim;
  for (let begin = 0; begin < rows.length; begin += slice) {
    for (let first = begin; first < Math.min(begin + slice, rows.length); first += dim) visit(first);
    await nextTurn();
  }
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0); // of one length

function unit(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

/** Orthogonalises twice, because scaling to length 1 magnifies the rounding error of a nearly parallel part. */
function orthogonal(vector: Float64Array, to: Float64Array): Float64Array {
  const once = unit(without(vector, to));
  return unit(without(once, to));
}

function without(vector: Float64Array, part: Float64Array): Float64Array {
  const share = dot(vector, part);
  return vector.map((value, i) => value - share * (part[i] as number));
}

const distance = (a: Float64Array, b: Float64Array): number => Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0));

function upright(axis: Float64Array): Float64Array {
  let largest = 0;
  axis.forEach((value, i) => {
    if (Math.abs(value) > Math.abs(axis[largest] as number)) largest = i;
  });
  return (axis[largest] ?? 0) < 0 ? axis.map((value) => -value) : axis;
}
