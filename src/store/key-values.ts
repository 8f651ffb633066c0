/** Small values that outlive a process: the active model, the secret of cursors, the progress of imports. */
export interface KeyValueStore {
  /** Null: never set. */
  get(key: string): Promise<string | null>;
  /** Resolves when it is durable. */
  set(key: string, value: string): Promise<void>;
  /** Sets a value that was never set. @returns the value that stands: this one, or that of who was first */
  add(key: string, value: string): Promise<string>;
}
