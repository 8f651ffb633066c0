/** A registered artifact. Its digests were verified when it was registered. */
export interface ModelRecord {
  fingerprint: string;
  folder: string;
  /** Content of model.json. */
  manifest: string;
  registered_at: number;
}

export interface ModelStore {
  /** Adds a model; a known fingerprint gets the new folder. */
  register(model: ModelRecord): Promise<void>;
  /** Oldest first. */
  list(): Promise<ModelRecord[]>;
}
