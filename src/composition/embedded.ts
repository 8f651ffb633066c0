import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config.js';
import { createHealing } from '../maintenance/storage-healing.js';
import { scheduleStoreCheck } from '../maintenance/store-check.js';
import { endProcess } from './end-process.js';
import { keepServed } from './served.js';
import { repeat } from './background.js';
import type { ServerOfCluster, Storage, StorageSetup } from './storage.js';
import { checkDataFiles, checkFileAccess } from '../maintenance/doctor/data-files.js';
import { checkDataFolder } from '../maintenance/doctor/data-folder.js';
import { refuseFailed } from '../maintenance/doctor/refusal.js';
import type { Metrics } from '../metrics.js';
import { lockDataDir } from '../store/data-lock.js';
import { openServedLog } from '../store/files/served-log.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { openProblem } from '../store/sqlite/open-problem.js';
import { openSqliteStores, type SqliteStores } from '../store/sqlite/sqlite-stores.js';
import type { StorageHealth } from '../store/storage-health.js';

/** Time between two looks at whether a fault of the storage is over. */
const HEALING_MS = 5000;

/** The error of a start in words, where its database is the reason. */
export const explained = (error: unknown, { dataDir }: Pick<Config, 'dataDir'>): unknown => openProblem(error, join(dataDir, DATABASE_FILE)) ?? error;

/** Locks the data folder for this process and opens its stores. @throws InputError when the folder or the database cannot be used */
export function openStores(config: Pick<Config, 'dataDir' | 'maxEventQueue'>, metrics: Metrics, health: StorageHealth, log: Logger): SqliteStores {
  const { dataDir, maxEventQueue } = config;
  refuseFailed(checkDataFolder(dataDir));
  refuseFailed(checkFileAccess(dataDir, DATABASE_FILE));
  const unlock = lockDataDir(dataDir);
  try {
    refuseFailed(checkDataFiles(dataDir, DATABASE_FILE));
    const stores = openSqliteStores({ dataDir, metrics, health, onCrash: endProcess(log), maxEventQueue });
    return {
      ...stores,
      close: async () => {
        await stores.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw explained(error, config);
  }
}

/** A folder of this machine: SQLite, the served log in files, snapshots. It belongs to this process alone. */
export function openEmbeddedStorage({ config, metrics, health, clock, log }: StorageSetup): Storage {
  const stores = openStores(config, metrics, health, log);
  const { check, vectors, keyValues } = stores;
  const heal = createHealing({ health, keyValues, check });
  let self: ServerOfCluster | null = null;
  const started = clock.now();
  return {
    stores,
    replicas: {
      list: async () =>
        self === null
          ? []
          : [
              {
                replica_id: 'this',
                ...(await self.describe()),
                applied: stores.changes.sequence,
                started_at: started,
                leased_until: null,
                lease: 'none' as const,
              },
            ],
      mayServe: () => true,
      inEffect: async () => undefined,
    },
    begin: async (server) => {
      self = server;
    },
    heal,
    snapshotFolder: join(config.dataDir, 'snapshots'),
    openServed: (time) =>
      keepServed(config.servedDays, (onError) => openServedLog(join(config.dataDir, 'served'), onError), {
        time,
        metrics,
        log,
        onError: health.told,
      }),
    watch: () => [
      repeat(heal, HEALING_MS),
      scheduleStoreCheck({ check, vectors, keyValues, health, hours: config.storeCheckHours, clock, metrics, log }),
    ],
  };
}
