export interface CopiedDatabase {
  schema_version: number;
  /** The model that serves. */
  model_dir: string | null;
  models: ModelFolder[];
}

export interface ModelFolder {
  fingerprint: string;
  folder: string;
}

/** What backups need of the database engine of a data folder. */
export interface DatabaseCopier {
  /** Name of the database's file in a data folder. */
  readonly file: string;
  /** A consistent copy, taken while another process may be writing. */
  copy(dataDir: string, target: string): CopiedDatabase;
  /** Lets a restored database name the folders where its models now are. @param active the one that serves; null: as it was */
  moveModels(file: string, models: readonly ModelFolder[], active: string | null): void;
}
