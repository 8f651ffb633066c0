import { backUp, restoreBackup, type BackupManifest } from '../maintenance/backup.js';
import type { DatabaseCopier } from '../store/database-copier.js';
import { copyDatabase, moveModels } from '../store/sqlite/backup.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';

const sqlite: DatabaseCopier = { file: DATABASE_FILE, copy: copyDatabase, moveModels };

/** See backUp. */
export const backUpEmbedded = (dataDir: string, target: string): Promise<BackupManifest> => backUp(dataDir, target, sqlite);

/** See restoreBackup. */
export const restoreEmbedded = (source: string, dataDir: string): Promise<BackupManifest> => restoreBackup(source, dataDir, sqlite);
