// names alone: the thread that writes and reads them should not have to load a schema library

/** Item ids, one line for each slot; empty for a slot without an item. */
export const IDS = 'ids.txt';
/** Vectors, float32 [slots, d] */
export const VECTORS = 'vectors.f32';
/** ID shares, float32 [slots] */
export const SHARES = 'id_shares.f32';
/** The graph, in the format of hnswlib. */
export const GRAPH = 'graph.hnsw';
/** int32: the slots that the graph holds. */
export const INDEXED = 'indexed.i32';
export const MANIFEST = 'snapshot.json';
