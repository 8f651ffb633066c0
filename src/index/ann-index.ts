/** Slots by falling similarity. */
export interface Neighbours {
  slots: Int32Array;
  /** Similarity of the user vector with each slot's vector: cosine or dot product, before the temperature. */
  similarities: Float32Array;
}

/** The contract of a nearest-neighbour index over the vector table. Lives in a worker thread; not safe to share. */
export interface AnnIndex {
  readonly size: number;
  /** Makes the slot's current vector searchable; a slot added again is moved to its new vector. */
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
   * Writes the index as it is at this call; searches, adds and removes go on meanwhile and take effect at once.
   * @returns the slots that the file holds, rising
   */
  save(file: string): Promise<Int32Array>;
  /**
   * Takes over a file that `save` has written, into an empty index.
   * @param slots what `save` returned
   * @returns the slots that the file has a node for, removed ones included
   */
  load(file: string, slots: Int32Array): Promise<Int32Array>;
}

export interface Asked {
  /** How many to return; fewer come back only when the index holds fewer. */
  count: number;
  /** Slots that are not to come back. */
  except: Int32Array;
}

/** Finds by scoring every row, many queries at once, and the best of them again one by one. Lives in a worker thread too. */
export interface ScanIndex {
  readonly size: number;
  add(slot: number): void;
  remove(slot: number): void;
  /** Whether it misses nothing, so that it may answer who wants an exact search. */
  readonly isExact: boolean;
  /** Whether a search for so many queries takes less time than a walk through the graph for each. */
  isCheaper(batch: number): boolean;
  /**
   * One search at a time: the next one uses the same memory.
   * @param queries [B, d], normalised by the caller where the similarity is cosine
   * @param asked one for each query
   */
  search(queries: Float32Array, asked: readonly Asked[]): Promise<Neighbours[]>;
  close(): Promise<void>;
}
