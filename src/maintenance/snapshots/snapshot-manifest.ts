import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

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
  /** Recall@20 of the first self-checks since the graph was built. */
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
    return null; // the caller reports it with the name of the file
  }
}
