import Database from 'better-sqlite3';

export const DATABASE_FILE = 'reelfuse.sqlite';

/** synchronous = FULL: a commit is on the disk, not only in its cache, before it is acknowledged. */
export function openDatabase(file: string, options: { readonly?: boolean } = {}): Database.Database {
  const database = new Database(file, options);
  if (!options.readonly) {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('secure_delete = ON'); // what is erased is overwritten, not only unlinked
  }
  database.pragma('foreign_keys = ON');
  database.pragma('busy_timeout = 5000');
  database.pragma('cache_size = -65536');
  database.pragma('mmap_size = 1073741824');
  return database;
}
