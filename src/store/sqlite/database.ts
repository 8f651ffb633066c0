import Database from 'better-sqlite3';

export const DATABASE_FILE = 'reelfuse.sqlite';

const BUSY_MS = 5000;
/** Readers of this process end within it; those that read an older state for long are waited for between attempts. */
const TRUNCATE_MS = 20;

/** synchronous = FULL: a commit is on the disk, not only in its cache, before it is acknowledged. */
export function openDatabase(file: string, options: { readonly?: boolean } = {}): Database.Database {
  const database = new Database(file, options);
  if (!options.readonly) {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('secure_delete = ON'); // what is erased is overwritten, not only unlinked
  }
  database.pragma('foreign_keys = ON');
  database.pragma(`busy_timeout = ${BUSY_MS}`);
  database.pragma('cache_size = -65536');
  database.pragma('mmap_size = 1073741824');
  return database;
}

/** Folds the write-ahead log into the database and empties it. @returns false when a reader of an older state is in the way */
export function truncateWal(database: Database.Database): boolean {
  database.pragma(`busy_timeout = ${TRUNCATE_MS}`);
  try {
    return (database.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }])[0].busy === 0;
  } finally {
    database.pragma(`busy_timeout = ${BUSY_MS}`);
  }
}
