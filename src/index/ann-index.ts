/** Slots in order of descending similarity. */
export interface Neighbours {
  slots: Int32Array;
  /** Similarity of the user vector with each slot's vector: cosine or dot product, before the temperature. */
  similarities: Float32Array;
}

/** A nearest-neighbour index over the vector table. Lives in a worker thread; not safe to share. */
export interface AnnIndex {
  readonly size: number;
  /** Makes the slot's current vector searchable. A slot that is added again moves to its new vector. */
  add(slot: number): void;
  /** Removes the slot from every later search. Removing a slot that is not there does nothing. */
  remove(slot: number): void;
  /**
   * @param query user vector [d], normalised by the caller where the similarity is cosine
   * @param count how many to return; fewer only when the index holds fewer
   */
  search(query: Float32Array, count: number): Neighbours;
}

/** An index whose structure is worth keeping over a restart. */
export interface PersistentIndex extends AnnIndex {
  /**
   * Writes the index as it is at this call. Searches, adds and removes during the save work and take effect at once.
   * @returns the slots that the file holds, ascending
   */
  save(file: string): Promise<Int32Array>;
  /**
   * Reads a file that `save` has written into an empty index.
   * @param slots what `save` returned
   * @returns the slots that the file has a node for, including removed ones
   */
  load(file: string, slots: Int32Array): Promise<Int32Array>;
}

/** What one query of a scan asks for. */
export interface ScanRequest {
  /** How many to return; fewer only when the index holds fewer that are not excluded. */
  count: number;
  /** Slots that must not be returned. */
  excluded: Int32Array;
}

/** Scores every row for many queries at once, and the best rows again one by one. Lives in a worker thread; not safe to share. */
export interface ScanIndex {
  readonly size: number;
  add(slot: number): void;
  remove(slot: number): void;
  /** Whether it never misses a neighbour, so that it may answer exact searches. */
  readonly isExact: boolean;
  /** Whether one search for `batch` queries takes less time than a walk through the graph for each query. */
  isCheaper(batch: number): boolean;
  /**
   * Only one search may run at a time: all use the same memory.
   * @param queries [B, d], normalised by the caller where the similarity is cosine
   * @param requests [B]
   */
  search(queries: Float32Array, requests: readonly ScanRequest[]): Promise<Neighbours[]>;
  close(): Promise<void>;
}
