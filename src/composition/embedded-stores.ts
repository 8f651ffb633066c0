import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config.js';
import { checkDataFiles, checkFileAccess } from '../maintenance/doctor/data-files.js';
import { checkDataFolder } from '../maintenance/doctor/data-folder.js';
import { refuseFailed } from '../maintenance/doctor/refusal.js';
import type { Metrics } from '../metrics.js';
import { lockDataDir } from '../store/data-lock.js';
import { openServedLog } from '../store/files/served-log.js';
import type { KeyValueStore } from '../store/key-values.js';
import type { ServedLog } from '../store/served-log.js';
import { DATABASE_FILE } from '../store/sqlite/database.js';
import { openProblem } from '../store/sqlite/open-problem.js';
import { openSqliteStores, type SqliteStores } from '../store/sqlite/sqlite-stores.js';
import type { StorageHealth } from '../store/storage-health.js';
import { hourly } from './background.js';

const DAY_MS = 24 * 3_600_000;
const CURSOR_SECRET_KEY = 'cursor_secret';

const FAILED = 70;
/** Time for a start to end with its error, when a thread dies before the server listens. */
const START_END_MS = 5000;

/** Ends the process when an engine thread has died, so that the supervisor starts a new one. Acknowledged writes are on the disk. */
export const endProcess = (log: Logger) => (error: Error) => {
  log.fatal({ err: error }, 'an engine thread has died');
  process.exitCode = FAILED;
  // as the signal does, but without its default action, which would end the process before the start has told its error
  if (!process.emit('SIGTERM', 'SIGTERM')) setTimeout(() => process.exit(FAILED), START_END_MS).unref();
};

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

/** Opens the served log and expires its old entries every hour. Null: no answers are kept. @param time see retention-time.ts */
export function openServed(
  { dataDir, servedDays }: Config,
  time: () => Promise<number>,
  metrics: Metrics,
  health: Pick<StorageHealth, 'told'>,
  log: Logger,
): ServedLog | null {
  if (servedDays === 0) return null;
  const onError = (what: string) => (error: unknown) => {
    metrics.servedLogErrors.inc();
    health.told(error);
    log.error({ err: error }, what);
  };
  const served = openServedLog(join(dataDir, 'served'), onError('answers could not be kept'));
  const stop = hourly(async () => {
    try {
      await served.expire((await time()) - servedDays * DAY_MS);
    } catch (error) {
      onError('old answers could not be removed')(error);
    }
  });
  return {
    ...served,
    close: async () => {
      await stop();
      await served.close();
    },
  };
}

/** The secret that signs cursors: that of the settings, or one that is drawn once and stored. */
export async function cursorSecret({ cursorSecret: given }: Pick<Config, 'cursorSecret'>, keyValues: KeyValueStore): Promise<string> {
  const known = given === '' ? await keyValues.get(CURSOR_SECRET_KEY) : given;
  if (known !== null) return known;
  const made = randomBytes(32).toString('hex');
  await keyValues.set(CURSOR_SECRET_KEY, made);
  return made;
}
