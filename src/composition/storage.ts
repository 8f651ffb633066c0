import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import type { Metrics } from '../metrics.js';
import type { ServedLog } from '../store/served-log.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { Stores } from '../store/stores.js';

/** Where a server keeps what must not be lost, and what belongs to that place alone. */
export interface Storage {
  stores: Stores;
  /** Folder of this machine for snapshots of the index. */
  snapshotFolder: string;
  /** The log of served answers; null: none is kept. @param time see retention-time.ts */
  openServed(time: () => Promise<number>): ServedLog | null;
  /** Starts what watches over the storage. @returns functions that end it */
  watch(): (() => Promise<void>)[];
  /** Looks whether faults of the storage are over, as a timer does every few seconds. */
  heal(): Promise<void>;
}

export interface StorageSetup {
  config: Config;
  metrics: Metrics;
  health: StorageHealth;
  clock: Clock;
  log: Logger;
}
