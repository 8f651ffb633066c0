import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { InputError, messageOf } from '../errors.js';

/** A tensor of a file, read by ranges, so that features larger than memory can be streamed. */
export interface TensorRows {
  dtype: string;
  shape: number[];
  /** Little-endian bytes of one row along the first axis. */
  row(position: number): Buffer;
  close(): void;
}

const MAGIC = Buffer.from([0x93, ...Buffer.from('NUMPY')]);
const MAX_HEADER_BYTES = 65_536;
const TYPES: Record<string, [dtype: string, bytes: number]> = { '<f2': ['F16', 2], '<f4': ['F32', 4] };

/**
 * Opens an array that NumPy has saved. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * @throws InputError naming the file and what is wrong with it
 */
export function openNpy(path: string): TensorRows {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw new InputError(`${path}: cannot be opened: ${messageOf(error)}`, { cause: error });
  }
  try {
    const { size } = fstatSync(descriptor);
    const read = (position: number, length: number): Buffer => {
      const buffer = Buffer.alloc(length);
      for (let done = 0; done < length;) {
        const count = readSync(descriptor, buffer, done, length - done, position + done);
        if (count === 0) throw new InputError(`${path}: ends early`);
        done += count;
      }
      return buffer;
    };
    const { dtype, shape, begin, width } = headerOf(path, size, read);
    const rowBytes = shape.slice(1).reduce((product, axis) => product * axis, width);
    if (begin + rowBytes * (shape[0] ?? 0) !== size) throw new InputError(`${path}: has a shape and a size that do not agree`);
    return { dtype, shape, row: (position) => read(begin + position * rowBytes, rowBytes), close: () => closeSync(descriptor) };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function headerOf(path: string, size: number, read: (position: number, length: number) => Buffer) {
  const start = read(0, Math.min(size, 12));
  if (size < 12 || !start.subarray(0, 6).equals(MAGIC)) throw new InputError(`${path}: is not a file of numpy.save`);
  const isShort = start[6] === 1;
  const length = isShort ? start.readUInt16LE(8) : start.readUInt32LE(8);
  const begin = (isShort ? 10 : 12) + length;
  if (length > MAX_HEADER_BYTES || begin > size) throw new InputError(`${path}: is not a file of numpy.save (header of ${length} bytes)`);
  const header = read(begin - length, length).toString('latin1');
  const descr = /'descr': '([^']*)'/.exec(header)?.[1] ?? 'records';
  const [dtype, width] = TYPES[descr] ?? [];
  if (dtype === undefined || width === undefined) throw new InputError(`${path}: holds ${descr}, wanted is float16 or float32, little-endian`);
  if (!header.includes(`'fortran_order': False`)) throw new InputError(`${path}: is in Fortran's order; save numpy.ascontiguousarray of it`);
  const axes =
    /'shape': \(([\d, ]*)\)/
      .exec(header)?.[1]
      ?.split(',')
      .filter((axis) => axis.trim() !== '') ?? [];
  return { dtype, shape: axes.map(Number), begin, width };
}
