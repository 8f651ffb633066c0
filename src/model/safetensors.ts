import { InputError } from '../errors.js';
import { openRanges } from '../files.js';
import { halfToFloat } from './half.js';

const BYTES: Record<string, number> = { F16: 2, F32: 4, I64: 8, BOOL: 1, U8: 1 };
const MAX_HEADER_BYTES = 100_000_000;

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: [begin: number, end: number];
}

// checked without the schema library: every thread that reads an artifact would load it, which costs a fifth of its throughput
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const areNaturals = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && (entry as number) >= 0);
const isEntry = (value: unknown): value is TensorEntry =>
  isObject(value) &&
  typeof value.dtype === 'string' &&
  areNaturals(value.shape) &&
  areNaturals(value.data_offsets) &&
  value.data_offsets.length === 2;
const isMetadata = (value: unknown): value is Record<string, string> =>
  isObject(value) && Object.values(value).every((text) => typeof text === 'string');

export interface TensorInfo {
  dtype: string;
  shape: number[];
  /** Byte range in the file. */
  begin: number;
  end: number;
}

/**
 * An open safetensors file, read by ranges, so that features larger than memory can be streamed.
 * Format: u64 length of the header, JSON header, bytes of the tensors, little-endian and row-major.
 */
export interface Safetensors {
  tensors: Map<string, TensorInfo>;
  metadata: Record<string, string>;
  /** @throws InputError when the tensor is missing */
  info(name: string): TensorInfo;
  /** Raw bytes of rows [first, first + count) along the first axis. */
  rows(name: string, first: number, count: number): Buffer;
  close(): void;
}

/** @throws InputError naming the file and what is wrong with it */
export function openSafetensors(path: string): Safetensors {
  const file = openRanges(path);
  try {
    const { tensors, metadata } = readHeader(path, file.size, file.read);
    const info = (name: string): TensorInfo => {
      const found = tensors.get(name);
      if (found === undefined) throw new InputError(`${path}: has no tensor ${name}; it holds ${[...tensors.keys()].join(', ') || 'none'}`);
      return found;
    };
    const rows = (name: string, first: number, count: number): Buffer => {
      const tensor = info(name);
      const rowBytes = (tensor.end - tensor.begin) / Math.max(1, tensor.shape[0] ?? 1);
      return file.read(tensor.begin + first * rowBytes, count * rowBytes);
    };
    return { tensors, metadata, info, rows, close: file.close };
  } catch (error) {
    file.close();
    throw error;
  }
}

function readHeader(path: string, size: number, read: (position: number, length: number) => Buffer) {
  if (size < 8) throw new InputError(`${path}: is too short for a safetensors file`);
  const length = Number(read(0, 8).readBigUInt64LE());
  if (length > MAX_HEADER_BYTES || length + 8 > size) throw new InputError(`${path}: is not a safetensors file (header of ${length} bytes)`);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(read(8, length).toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new InputError(`${path}: the safetensors header is not JSON`, { cause: error });
  }
  const base = 8 + length;
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  if (typeof header !== 'object' || header === null) throw new InputError(`${path}: the safetensors header is not an object`);
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isMetadata(entry)) throw new InputError(`${path}: __metadata__ holds something else than strings`);
      metadata = entry;
      continue;
    }
    if (!isEntry(entry)) throw new InputError(`${path}: tensor ${name} has no dtype, shape and data_offsets as the format has them`);
    const { dtype, shape } = entry;
    const [begin, end] = entry.data_offsets;
    const width = Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
    const expected = shape.reduce((product, axis) => product * axis, width ?? 0);
    if (begin > end || base + end > size || (width !== undefined && end - begin !== expected)) {
      throw new InputError(`${path}: tensor ${name} has a shape, type and byte range that do not agree`);
    }
    tensors.set(name, { dtype, shape, begin: base + begin, end: base + end });
  }
  return { tensors, metadata };
}

/** The one tensor of a safetensors file in memory. @throws InputError */
export function tensorOf(bytes: Buffer, name: string): { dtype: string; shape: number[]; data: Buffer } {
  const { tensors } = readHeader('the safetensors', bytes.length, (position, length) => bytes.subarray(position, position + length));
  const found = tensors.get(name);
  if (found === undefined) throw new InputError(`has no tensor ${name}; it holds ${[...tensors.keys()].join(', ') || 'none'}`);
  return { dtype: found.dtype, shape: found.shape, data: bytes.subarray(found.begin, found.end) };
}

/** Little-endian bytes of F16 or F32 as float32; copies, so that the source may be unaligned. */
export function floatsOf(bytes: Uint8Array, dtype: string): Float32Array {
  const aligned = new Uint8Array(bytes).buffer;
  if (dtype === 'F32') return new Float32Array(aligned);
  if (dtype === 'F16') return halfToFloat(new Uint16Array(aligned));
  throw new InputError(`tensors of type ${dtype} are not supported here; use F16 or F32`);
}
