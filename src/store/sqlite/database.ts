import Database from 'better-sqlite3';

export const DATABASE_FILE = 'reelfuse.sqlite';

const BUSY_MS = 5000;
/** Busy timeout of one attempt to truncate. Reads of this process end within it. */
const TRUNCATE_MS = 20;

/** Opens a database in WAL mode. By synchronous = FULL a commit is on the disk before it is acknowledged. */
export function openDatabase(file: string, options: { readonly?: boolean } = {}): Database.Database {
  const database = new Database(file, options);
  if (!options.readonly) {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('secure_delete = ON'); // erased content is overwritten with zeros
  }
  database.pragma('foreign_keys = ON');
  database.pragma(`busy_timeout = ${BUSY_MS}`);
  database.pragma('cache_size = -65536');
  return database;
}

/** Checkpoints the write-ahead log and truncates it. @returns false when a reader of an older state prevents that */
export function truncateWal(database: Database.Database): boolean {
  database.pragma(`busy_timeout = ${TRUNCATE_MS}`);
  try {
    return (database.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }])[0].busy === 0;
  } finally {
    database.pragma(`busy_timeout = ${BUSY_MS}`);
  }
}
