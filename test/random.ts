/** mulberry32: numbers in [0, 1) that are the same on every run; small, seeded, good enough for data and for choosing operations. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** The same in [-1, 1), for vectors. */
export function signedRandomOf(seed: number): () => number {
  const random = randomOf(seed);
  return () => 2 * random() - 1;
}
