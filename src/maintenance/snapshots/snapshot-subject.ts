import type { HnswSettings } from '../../index/hnsw.js';
import type { GenerationImage } from '../../retrieval/embedded/generation-image.js';

/** The generation that a snapshot is taken of, or that a start fills. */
export interface SnapshotSubject {
  readonly fingerprint: string;
  readonly dim: number;
  readonly hnsw: HnswSettings;
  readonly image: GenerationImage;
  /** Recall@20 of the first self-checks since the graph was built: what later ones are compared with, over restarts too. */
  firstRecalls: number[];
  /** Runs a task that the generation must outlive. */
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
  /** Resolves when every item change up to this one is in the image. */
  indexed(sequence: number): Promise<void>;
}
