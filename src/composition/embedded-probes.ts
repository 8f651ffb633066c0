import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineProbes } from '../maintenance/doctor/engines.js';
import { createMetrics } from '../metrics.js';
import { startFuser } from '../model/fuser.js';
import { startRecommenders } from '../model/recommender-pool.js';
import { packageFile } from '../package-root.js';
import { lockDataDir, wasLocked } from '../store/data-lock.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { inspectDatabase } from '../store/sqlite/inspect.js';
import { openProblem } from '../store/sqlite/open-problem.js';
import { inspectShared } from '../store/postgres/inspect.js';
import { databaseStartError } from './cluster.js';
import { memoryLimit } from './limits.js';
import { catalogueSize, poolSettings } from './settings.js';

/** The engines of an embedded server, for the doctor. */
export const embeddedProbes: EngineProbes = {
  wasLocked,
  tryLock: (dataDir) => lockDataDir(dataDir)(),
  databaseFile: DATABASE_FILE,
  inspectDatabase: (dataDir) => {
    const file = join(dataDir, DATABASE_FILE);
    if (!existsSync(file)) return null;
    try {
      return inspectDatabase(dataDir, packageFile('migrations', 'sqlite'));
    } catch (error) {
      throw openProblem(error, file) ?? error;
    }
  },
  inspectShared: async (url) => {
    try {
      return await inspectShared(url, packageFile('migrations', 'postgres'));
    } catch (error) {
      throw databaseStartError(error);
    }
  },
  sizeOf: (config, { manifest }, items) => catalogueSize(config, manifest.dim, items),
  memoryLimit,
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
