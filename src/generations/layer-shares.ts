import { floatsOf } from '../model/safetensors.js';
import type { HiddenStates } from '../domain/item.js';
import type { Generation } from './generation.js';

/**
 * Leave-one-layer-out: how far the fused vector moves when one layer is replaced by the mean of the artifact's golden
 * items, as shares that sum to 1. The exported tower itself fuses the variants, so this works for every way of mixing layers.
 * @returns [L], or null when the item has no hidden states that fit the model
 */
export async function layerShares(
  { artifact, fuser }: Pick<Generation, 'artifact' | 'fuser'>,
  itemId: string,
  states: HiddenStates | null,
): Promise<number[] | null> {
  const { layers, hidden_dim: width, variant } = artifact.manifest;
  if (states === null || variant === 'id' || states.shape[0] !== layers.count || states.shape[1] !== width) return null;
  const own = floatsOf(states.data, states.dtype === 'float16' ? 'F16' : 'F32');
  const mean = meanStates(artifact.golden.hiddenStates, layers.count * width);
  const variants = layers.names.map((_, layer) => {
    const changed = own.slice();
    changed.set(mean.subarray(layer * width, (layer + 1) * width), layer * width);
    return changed;
  });
  const [whole, ...without] = await Promise.all(
    [own, ...variants].map(({ buffer }) => fuser.fuse({ itemId, hiddenStates: { dtype: 'float32', data: new Uint8Array(buffer) } })),
  );
  const moved = without.map(({ vector }) => {
    let squares = 0;
    vector.forEach((value, i) => {
      squares += (value - (whole?.vector[i] ?? 0)) ** 2;
    });
    return Math.sqrt(squares);
  });
  const total = moved.reduce((sum, distance) => sum + distance, 0);
  return total === 0 ? null : moved.map((distance) => distance / total);
}

/** Mean over the rows that are not all zeros, which mean "no features". */
function meanStates(rows: Float32Array, size: number): Float32Array {
  const mean = new Float32Array(size);
  let count = 0;
  for (let first = 0; first < rows.length; first += size) {
    const row = rows.subarray(first, first + size);
    if (row.every((value) => value === 0)) continue;
    count++;
    row.forEach((value, i) => {
      mean[i] = (mean[i] as number) + value; // i < size
    });
  }
  return mean.map((sum) => sum / Math.max(count, 1));
}
