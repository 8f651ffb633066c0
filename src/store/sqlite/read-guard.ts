import type { StorageHealth } from '../storage-health.js';

/** Makes a method of a store from a read of SQLite. Its errors become those that a caller is told. */
export type ReadGuard = <Arguments extends unknown[], Value>(read: (...values: Arguments) => Value) => (...values: Arguments) => Promise<Value>;

export const createReadGuard =
  (health: Pick<StorageHealth, 'told'>): ReadGuard =>
  (read) =>
  async (...values) => {
    try {
      return read(...values);
    } catch (error) {
      throw health.told(error);
    }
  };
