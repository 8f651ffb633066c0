import type { Logger } from 'pino';
import type { Config } from '../config.js';
import type { Metrics } from '../metrics.js';
import { openPostgresStores } from '../store/postgres/postgres-stores.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { Stores } from '../store/stores.js';
import { databaseStartError } from './cluster.js';
import { openStores } from './embedded.js';

/** The stores of a server with these settings, for a command that writes to them by itself. @throws as a start of the server does */
export async function openStoresOf(config: Config, metrics: Metrics, health: StorageHealth, log: Logger): Promise<Stores> {
  if (config.databaseUrl === '') return openStores(config, metrics, health, log);
  try {
    return await openPostgresStores({
      url: config.databaseUrl,
      metrics,
      maxEventQueue: config.maxEventQueue,
      maxConnections: config.databaseConnections,
    });
  } catch (error) {
    throw databaseStartError(error);
  }
}
