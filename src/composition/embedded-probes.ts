import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineProbes } from '../maintenance/doctor/engines.js';
import { createMetrics } from '../metrics.js';
import { startFuser } from '../model/fuser.js';
import { startRecommenders } from '../model/recommender-pool.js';
import { packageFile } from '../package-root.js';
import { lockDataDir } from '../store/data-lock.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { inspectDatabase } from '../store/sqlite/inspect.js';
import { poolSettings } from './settings.js';

const databaseFile = (dataDir: string): string => join(dataDir, DATABASE_FILE);

/** The engines of an embedded server, for the doctor. */
export const embeddedProbes: EngineProbes = {
  isThere: existsSync,
  tryLock: (dataDir) => lockDataDir(dataDir)(),
  databaseFile,
  inspectDatabase: (dataDir) => (existsSync(databaseFile(dataDir)) ? inspectDatabase(dataDir, packageFile('migrations', 'sqlite')) : null),
  tryTowers: async (config, artifact) => {
    const metrics = createMetrics();
    const onCrash = (): void => undefined; // the call that waits is rejected with the reason
    const fuser = await startFuser(artifact, config, metrics, onCrash);
    try {
      const pool = await startRecommenders(artifact, { ...poolSettings(config), workers: 1, userVectorBytes: 0 }, metrics, onCrash);
      await pool.close();
      return { itemTower: fuser.provider, userTower: pool.provider, precision: pool.precision, passedOver: fuser.skipped };
    } finally {
      await fuser.close();
    }
  },
};
