/** Embeds a history, oldest first; never empty. */
export type Tower = (vectors: readonly Float32Array[]) => Float32Array;

/** The user is the sum of what was watched. */
export const sumTower: Tower = (vectors) => Float32Array.from(vectors[0] ?? [], (_, i) => vectors.reduce((sum, vector) => sum + (vector[i] ?? 0), 0));

export const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

/** Of length 1; zeros stay. */
export const unit = (vector: Float32Array): Float32Array => vector.map((value) => value / Math.max(Math.sqrt(dot(vector, vector)), 1e-12));

/** The vector as the similarity compares it. */
export const scaled = (vector: Float32Array, similarity: 'dot' | 'cosine'): Float32Array => (similarity === 'cosine' ? unit(vector) : vector.slice());

/** The query less half of its length times the mean direction of the disliked vectors. */
export function moveAway(query: Float32Array, disliked: readonly Float32Array[], similarity: 'dot' | 'cosine'): Float32Array {
  const step = Math.sqrt(dot(query, query)) / 2 / Math.max(disliked.length, 1);
  const directions = disliked.map(unit);
  return scaled(
    query.map((value, i) => value - step * directions.reduce((sum, direction) => sum + (direction[i] ?? 0), 0)),
    similarity,
  );
}
