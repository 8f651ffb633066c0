/**
 * A value and a slot packed into one number, so that a sort or a heap of plain doubles ranks slots. A heap of objects, as a library has,
 * would make an object for every candidate of every query. Before a change of which this heap was one half, sorting the candidates gave
 * at most 4,978 requests/s; after it there were 5,871 (bench/LOG.md).
 */

/** Slots below this number fit into a key; larger catalogues are not scanned. */
export const KEY_SLOTS = 2 ** 20;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * Key that is smaller the greater the similarity, and the smaller the slot among equal similarities: the similarity's 32 bits,
 * turned so that they fall as it rises, above the slot's 20 bits.
 */
export function similarityKey(similarity: number, slot: number): number {
  float[0] = similarity;
  const pattern = bits[0] as number; // one element
  return (pattern >>> 31 === 1 ? pattern : pattern ^ 0x7fffffff) * KEY_SLOTS + slot;
}

export function similarityOf(key: number): number {
  const turned = Math.floor(key / KEY_SLOTS);
  bits[0] = turned >>> 31 === 1 ? turned : turned ^ 0x7fffffff;
  return float[0] as number; // one element
}

/** Puts a key into a heap of `filled` others, the smallest first. */
export function siftUp(heap: Float64Array, filled: number, key: number): void {
  let at = filled;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as number; // parent < at
    if (above <= key) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = key;
}

/** Replaces the smallest of `filled` keys in a heap. */
export function siftDown(heap: Float64Array, filled: number, key: number): void {
  let at = 0;
  for (let child = 1; child < filled; child = 2 * at + 1) {
    if (child + 1 < filled && (heap[child + 1] as number) < (heap[child] as number)) child++; // both < filled
    const below = heap[child] as number; // child < filled
    if (below >= key) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = key;
}
