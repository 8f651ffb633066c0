/** Small settings that outlive a process: the model that serves, the secret of cursors, how far an import has come. */
export interface KeyValueStore {
  /** Null: never set. */
  get(key: string): Promise<string | null>;
  /** Resolves when it is durable. */
  set(key: string, value: string): Promise<void>;
}
