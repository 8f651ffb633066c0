import type { VectorTable } from './vector-table.js';

const FIRST_BUCKETS = 1024;
const NONE = -1;

/**
 * Groups slots with equal vectors: one of each group, the original, stands for the others. The lists of links in a graph would fill with
 * copies, and a search that comes among them would not get out.
 */
export interface VectorCopies {
  /** The original with the same vector; undefined: there is none. */
  originalOf(slot: number): number | undefined;
  /** Notes a slot as the original of its vector. */
  addOriginal(slot: number): void;
  /** Notes a slot as a copy. */
  addCopy(slot: number, original: number): void;
  isCopy(slot: number): boolean;
  copies(original: number): ReadonlySet<number>;
  /** Forgets a slot, whose vector in the table may have changed. @returns one copy of it that is left without an original; its others follow it */
  remove(slot: number): number | undefined;
}

const NO_COPIES: ReadonlySet<number> = new Set();

/** Originals are in a hash table of chained slots: 12 bytes each. */
export function createVectorCopies(table: VectorTable): VectorCopies {
  let heads = new Int32Array(FIRST_BUCKETS).fill(NONE);
  let next = new Int32Array(FIRST_BUCKETS).fill(NONE);
  let hashes = new Uint32Array(FIRST_BUCKETS);
  const copiesOf = new Map<number, Set<number>>();
  const originals = new Map<number, number>();

  const bucketOf = (hash: number): number => hash & (heads.length - 1);
  const link = (slot: number): void => {
    const bucket = bucketOf(hashes[slot] as number); // grown before
    next[slot] = heads[bucket] as number;
    heads[bucket] = slot;
  };
  const grow = (slots: number): void => {
    if (slots <= next.length) return;
    const linked: number[] = [];
    for (const head of heads) for (let slot = head; slot !== NONE; slot = next[slot] as number) linked.push(slot);
    let size = next.length;
    while (size < slots) size *= 2;
    const grown = new Uint32Array(size);
    grown.set(hashes);
    hashes = grown;
    next = new Int32Array(size).fill(NONE);
    heads = new Int32Array(size).fill(NONE);
    for (const slot of linked) link(slot);
  };
  const unlink = (slot: number): void => {
    const bucket = bucketOf(hashes[slot] as number); // slots of a chain are below its length
    if (heads[bucket] === slot) heads[bucket] = next[slot] as number;
    else
      for (let before = heads[bucket] as number; before !== NONE; before = next[before] as number) {
        if (next[before] !== slot) continue;
        next[before] = next[slot] as number;
        break;
      }
  };

  return {
    originalOf: (slot) => {
      const vector = table.vector(slot);
      const hash = hashOf(vector);
      for (let other = heads[bucketOf(hash)] as number; other !== NONE; other = next[other] as number)
        if (other !== slot && hashes[other] === hash && isEqual(vector, table.vector(other))) return other;
      return undefined;
    },
    addOriginal: (slot) => {
      grow(slot + 1);
      hashes[slot] = hashOf(table.vector(slot));
      link(slot);
    },
    addCopy: (slot, original) => {
      originals.set(slot, original);
      const known = copiesOf.get(original);
      if (known === undefined) copiesOf.set(original, new Set([slot]));
      else known.add(slot);
    },
    isCopy: (slot) => originals.has(slot),
    copies: (original) => copiesOf.get(original) ?? NO_COPIES,
    remove: (slot) => {
      const original = originals.get(slot);
      if (original !== undefined) {
        originals.delete(slot);
        const others = copiesOf.get(original);
        others?.delete(slot);
        if (others?.size === 0) copiesOf.delete(original);
        return undefined;
      }
      unlink(slot);
      const left = copiesOf.get(slot);
      if (left === undefined) return undefined;
      copiesOf.delete(slot);
      const [heir] = left;
      if (heir === undefined) return undefined;
      left.delete(heir);
      originals.delete(heir);
      if (left.size > 0) copiesOf.set(heir, left);
      for (const copy of left) originals.set(copy, heir);
      return heir;
    },
  };
}

const bits = new DataView(new ArrayBuffer(4));

/** FNV-1a over the bits of the values. */
function hashOf(vector: Float32Array): number {
  let hash = 0x811c9dc5;
  for (const value of vector) {
    bits.setFloat32(0, value);
    hash = Math.imul(hash ^ bits.getInt32(0), 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function isEqual(a: Float32Array, b: Float32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
