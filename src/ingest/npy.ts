import { InputError } from '../errors.js';
import { openRanges, type RangedFile } from '../files.js';

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
  const file = openRanges(path);
  try {
    const { dtype, shape, begin, width } = headerOf(path, file);
    const rowBytes = shape.slice(1).reduce((product, axis) => product * axis, width);
    if (begin + rowBytes * (shape[0] ?? 0) !== file.size) throw new InputError(`${path}: has a shape and a size that do not agree`);
    return { dtype, shape, row: (position) => file.read(begin + position * rowBytes, rowBytes), close: file.close };
  } catch (error) {
    file.close();
    throw error;
  }
}

function headerOf(path: string, { size, read }: RangedFile) {
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
