import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

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

const count = Type.Integer({ minimum: 0 });

/** `snapshot.json`, written last: a folder without it is not a snapshot. */
export const SnapshotManifest = Type.Object({
  format: Type.Literal('reelfuse-snapshot'),
  format_version: Type.Literal(1),
  fingerprint: Type.String(),
  /** Every item change up to this one is in the snapshot. */
  sequence: count,
  created_at: count,
  dim: count,
  hnsw: Type.Object({ m: count, ef_construction: count }),
  slots: count,
  items: count,
  /** Of the first self-checks since the graph was built. */
  first_recalls: Type.Optional(Type.Array(Type.Number())),
  files: Type.Record(Type.String(), Type.Object({ sha256: Type.String(), bytes: count })),
});
export type SnapshotManifest = Static<typeof SnapshotManifest>;

/** Null when the text is not the manifest of a snapshot that this program can read. */
export function parseSnapshotManifest(text: string): SnapshotManifest | null {
  try {
    const json: unknown = JSON.parse(text);
    return Value.Check(SnapshotManifest, json) ? json : null;
  } catch {
    return null; // told by the caller, which knows the file
  }
}
