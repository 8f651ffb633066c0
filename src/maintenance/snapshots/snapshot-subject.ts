import type { HnswSettings } from '../../index/hnsw.js';
import type { GenerationImage } from '../../retrieval/embedded/generation-image.js';

/** The generation that a snapshot is made of, or that a start fills. */
export interface SnapshotSubject {
  readonly fingerprint: string;
  readonly dim: number;
  readonly hnsw: HnswSettings;
  readonly image: GenerationImage;
  /** Recall@20 of the first self-checks since the graph was built. Later self-checks are compared with them, after restarts too. */
  firstRecalls: number[];
  /** Runs a task; the generation stays open until it ends. */
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
  /** Resolves when every present item change is in the image. */
  indexed(sequence: number): Promise<void>;
}
