import { join } from 'node:path';
import { backUp, restoreBackup, type BackupManifest } from '../maintenance/backup.js';
import type { DatabaseCopier } from '../store/database-copier.js';
import { copyDatabase, moveModels } from '../store/sqlite/backup.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { openProblem } from '../store/sqlite/open-problem.js';
import { storageFaultOf } from '../storage-faults.js';

const sqlite: DatabaseCopier = {
  file: DATABASE_FILE,
  copy: (dataDir, target) => {
    try {
      return copyDatabase(dataDir, target);
    } catch (error) {
      throw (storageFaultOf(error) === 'damaged' ? openProblem(error, join(dataDir, DATABASE_FILE)) : null) ?? error;
    }
  },
  moveModels,
};

/** See backUp. @throws StartError when the database is damaged */
export const backUpEmbedded = (dataDir: string, target: string): Promise<BackupManifest> => backUp(dataDir, target, sqlite);

/** See restoreBackup. */
export const restoreEmbedded = (source: string, dataDir: string): Promise<BackupManifest> => restoreBackup(source, dataDir, sqlite);
