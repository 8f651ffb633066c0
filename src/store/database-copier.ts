export interface CopiedDatabase {
  schema_version: number;
  /** Folder of the active model; null: none was chosen yet. */
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
  /** Makes a consistent copy; another process may write meanwhile. */
  copy(dataDir: string, target: string): CopiedDatabase;
  /** Sets the model folders of a restored database. @param active fingerprint of the active model; null: unchanged */
  moveModels(file: string, models: readonly ModelFolder[], active: string | null): void;
}
