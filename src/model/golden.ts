import { ArtifactError, InputError } from '../errors.js';
import type { Manifest } from './manifest.js';
import { floatsOf, openSafetensors } from './safetensors.js';

/** Inputs and expected outputs of both towers for G items and U histories. Plain arrays, because they are posted to worker threads. */
export interface Golden {
  items: number;
  itemIndex: BigInt64Array;
  /** [G, L, D]; empty for a model without features. */
  hiddenStates: Float32Array;
  itemVector: Float32Array;
  idShare: Float32Array;
  histories: number;
  /** [U, T, d] */
  itemVectors: Float32Array;
  /** [U, T], 1 = a real item */
  mask: Uint8Array;
  /** [U, d] */
  userVector: Float32Array;
}

/** @throws ArtifactError naming the tensor whose shape does not fit the manifest */
export function readGolden(path: string, manifest: Manifest): Golden {
  try {
    return readTensors(path, manifest);
  } catch (error) {
    if (error instanceof InputError) throw new ArtifactError(`golden.safetensors: ${error.message}`, { cause: error });
    throw error;
  }
}

function readTensors(path: string, manifest: Manifest): Golden {
  const file = openSafetensors(path);
  try {
    const read = (name: string, dtypes: string[], shape: number[]): Buffer => {
      const tensor = file.info(name);
      if (!dtypes.includes(tensor.dtype) || tensor.shape.length !== shape.length || tensor.shape.some((axis, i) => axis !== shape[i])) {
        throw new ArtifactError(
          `golden.safetensors: ${name} is ${tensor.dtype} [${tensor.shape.join(', ')}], the manifest wants ${dtypes.join(' or ')} [${shape.join(', ')}]`,
        );
      }
      return shape[0] === 0 ? Buffer.alloc(0) : file.rows(name, 0, shape[0] as number); // every shape here has an axis
    };
    const floats = (name: string, shape: number[]): Float32Array => floatsOf(read(name, ['F32'], shape), 'F32');
    const { dim, max_history: length, layers, hidden_dim: width, variant } = manifest;
    const items = file.info('item.item_vector').shape[0] ?? 0;
    const histories = file.info('user.user_vector').shape[0] ?? 0;
    if (items === 0 || histories === 0) throw new ArtifactError('golden.safetensors: holds no items or no histories to check');
    return {
      items,
      itemIndex: new BigInt64Array(new Uint8Array(read('item.item_index', ['I64'], [items])).buffer),
      hiddenStates: variant === 'id' ? new Float32Array(0) : floats('item.hidden_states', [items, layers.count, width]),
      itemVector: floats('item.item_vector', [items, dim]),
      idShare: floats('item.id_share', [items]),
      histories,
      itemVectors: floats('user.item_vectors', [histories, length, dim]),
      mask: new Uint8Array(read('user.mask', ['BOOL', 'U8'], [histories, length])),
      userVector: floats('user.user_vector', [histories, dim]),
    };
  } finally {
    file.close();
  }
}

/**
 * Compares the largest deviation with the limit: 1e-4 on the CPU, 1e-2 elsewhere, relative to the largest value; on the CPU only where
 * that is above 1.
 * @throws ArtifactError
 */
export function checkGolden(tower: string, provider: string, actual: Float32Array, expected: Float32Array): void {
  if (actual.length !== expected.length)
    throw new ArtifactError(`${tower}: gave ${actual.length} values where the golden output has ${expected.length}`);
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number)); // equal lengths
    if (Number.isNaN(difference)) throw new ArtifactError(`${tower}: golden output is not a number on ${provider}`);
    worst = Math.max(worst, difference);
    largest = Math.max(largest, Math.abs(expected[i] as number));
  }
  const error = worst / Math.max(largest, provider === 'cpu' ? 1 : 1e-6);
  const allowed = provider === 'cpu' ? 1e-4 : 1e-2;
  if (error > allowed) throw new ArtifactError(`${tower}: golden output differs by ${error.toExponential(2)} on ${provider}, allowed is ${allowed}`);
}

/** Allowed error of a user vector, as a share of its L2 norm. */
const INT8_ALLOWED = 0.05;

/** @throws ArtifactError for an 8-bit tower with a user vector of [U, d] whose error is more than 5 % of its norm */
export function checkInt8Golden(actual: Float32Array, expected: Float32Array, histories: number): void {
  const dim = expected.length / histories;
  for (let first = 0; first < expected.length; first += dim) {
    let wrong = 0;
    let squares = 0;
    for (let i = first; i < first + dim; i++) {
      wrong += ((actual[i] ?? NaN) - (expected[i] as number)) ** 2; // i < length
      squares += (expected[i] as number) ** 2;
    }
    const error = Math.sqrt(wrong / Math.max(squares, 1e-12));
    if (!(error <= INT8_ALLOWED))
      throw new ArtifactError(
        `user_tower_int8.onnx: a golden user vector is off by ${error.toExponential(2)} of its norm, allowed is ${INT8_ALLOWED}`,
      );
  }
}

/** L2 norm of each layer of hidden states [L, D]. */
export function layerNorms(states: Float32Array, layers: number): number[] {
  const width = states.length / layers;
  return Array.from({ length: layers }, (_, layer) => {
    let squares = 0;
    for (let at = layer * width; at < (layer + 1) * width; at++) squares += (states[at] as number) ** 2; // within the states
    return Math.sqrt(squares);
  });
}

/** Median norm of each layer over the golden items that have features; null when none has. */
export function typicalNorms({ hiddenStates }: Pick<Golden, 'hiddenStates'>, layers: number, width: number): number[] | null {
  const size = layers * width;
  const norms: number[][] = [];
  for (let first = 0; size > 0 && first < hiddenStates.length; first += size) {
    const row = hiddenStates.subarray(first, first + size);
    if (row.some((value) => value !== 0)) norms.push(layerNorms(row, layers));
  }
  if (norms.length === 0) return null;
  return Array.from({ length: layers }, (_, layer) => {
    const sorted = norms.map((row) => row[layer] ?? 0).sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  });
}
