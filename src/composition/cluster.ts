import { join } from 'node:path';
import { StartError } from '../errors.js';
import { storageFaultOf } from '../storage-faults.js';
import { lockDataDir } from '../store/data-lock.js';
import { openPostgresStores, type PostgresStores } from '../store/postgres/postgres-stores.js';
import { openReplicas } from '../store/postgres/replicas.js';
import { openPostgresServedLog } from '../store/postgres/served-log.js';
import { repeat } from './background.js';
import { endProcess } from './end-process.js';
import { keepServed } from './served.js';
import type { ServerOfCluster, Storage, StorageSetup } from './storage.js';

const TRIM_MS = 600_000;

/**
 * One of any number of servers over one PostgreSQL: nothing is kept on this machine but snapshots of the index, which may vanish.
 * @throws StartError, InputError when the database cannot be used
 */
export async function openClusterStorage({ config, metrics, health, log }: StorageSetup): Promise<Storage> {
  const unlock = lockDataDir(config.dataDir); // snapshots are written by one process
  let stores: PostgresStores;
  let publish = (): void => undefined;
  try {
    stores = await openPostgresStores({
      url: config.databaseUrl,
      metrics,
      maxEventQueue: config.maxEventQueue,
      maxConnections: config.databaseConnections,
      onTrouble: (error) => {
        if (error === null) health.noteWorking();
        else health.noteFailing(error.message);
      },
      onSettled: () => publish(),
      onOtherOrigin: () => endProcess(log)(new Error('another server of PostgreSQL has taken over; a new start reads what it has')),
    });
  } catch (error) {
    unlock();
    throw databaseStartError(error);
  }
  const { feed, trim, database, feedDatabase, identity } = stores;
  let self: ServerOfCluster | null = null;
  const replicas = openReplicas({
    database: feedDatabase,
    leaseMs: config.leaseSeconds * 1000,
    describe: async () => {
      metrics.feedHeldSeconds.set(feed.heldSeconds());
      return self?.describe() ?? Promise.reject(new Error('this server does not serve yet'));
    },
    caughtUp: async () => {
      await feed.look();
      const settled = feed.applied;
      await self?.applied();
      return settled;
    },
    onLease: (isHeld) => {
      metrics.leaseHeld.set(isHeld ? 1 : 0);
      if (!isHeld) log.warn('the lease has ended: others may acknowledge deletes that this server does not know of');
    },
  });
  publish = replicas.publish;
  return {
    replicas,
    begin: async (server) => {
      self = server;
      await replicas.begin();
    },
    stores: {
      ...stores,
      close: async () => {
        await replicas.close();
        await stores.close();
        unlock();
      },
    },
    snapshotFolder: join(config.dataDir, 'snapshots', identity),
    openServed: (time) =>
      keepServed(config.servedDays, (onError) => openPostgresServedLog(database, onError), { time, metrics, log, onError: () => undefined }),
    watch: () => [
      repeat(async () => {
        try {
          await trim();
        } catch (error) {
          log.warn({ err: error }, 'old changes could not be removed');
        }
      }, TRIM_MS),
    ],
    heal: feed.look,
  };
}

/** The error of a start in words, where the database is the reason. The address may hold a password, so it is not told. */
export function databaseStartError(error: unknown): unknown {
  if (storageFaultOf(error) !== 'failed' || !(error instanceof Error)) return error;
  const reason = error.cause instanceof Error ? error.cause.message : error.message;
  return new StartError(`PostgreSQL cannot be used: ${reason}`, 'check REELFUSE_DATABASE_URL, and that the server runs and lets this one in', {
    cause: error,
  });
}
