// names alone: the thread that writes and reads them should not have to load a schema library

/** Slots by line, empty where no item is. */
export const IDS = 'ids.txt';
/** float32 [slots, d] */
export const VECTORS = 'vectors.f32';
/** float32 [slots] */
export const SHARES = 'id_shares.f32';
/** hnswlib's own format. */
export const GRAPH = 'graph.hnsw';
/** int32: the slots that the graph holds. */
export const INDEXED = 'indexed.i32';
export const MANIFEST = 'snapshot.json';
