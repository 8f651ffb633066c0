import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import type { Metrics } from '../metrics.js';
import type { ReplicaState, ReplicaStore } from '../store/replicas.js';
import type { ServedLog } from '../store/served-log.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { Stores } from '../store/stores.js';

/** Where a server keeps what must not be lost, and what belongs to that place alone. */
export interface Storage {
  stores: Stores;
  replicas: ReplicaStore;
  /** Resolves when this server may serve. @param server what the other servers need to know of this one */
  begin(server: ServerOfCluster): Promise<void>;
  /** Folder of this machine for snapshots of the index. */
  snapshotFolder: string;
  /** The log of served answers; null: none is kept. @param time see retention-time.ts */
  openServed(time: () => Promise<number>): ServedLog | null;
  /** Starts what watches over the storage. @returns functions that end it */
  watch(): (() => Promise<void>)[];
  /** Looks whether faults of the storage are over, as a timer does every few seconds. */
  heal(): Promise<void>;
}

export interface ServerOfCluster {
  describe: () => Promise<ReplicaState>;
  /** Resolves when every change of an item that the change feed has told is in effect for later requests. */
  applied: () => Promise<void>;
}

export interface StorageSetup {
  config: Config;
  metrics: Metrics;
  health: StorageHealth;
  clock: Clock;
  log: Logger;
}
