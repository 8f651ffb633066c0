/** An artifact that was verified once. */
export interface ModelRecord {
  fingerprint: string;
  folder: string;
  /** model.json */
  manifest: string;
  registered_at: number;
}

export interface ModelStore {
  /** A fingerprint that is known gets the new folder. */
  register(model: ModelRecord): Promise<void>;
  /** Oldest first. */
  list(): Promise<ModelRecord[]>;
}
